import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Conversation, Turn } from "../../protocol/chat.js";
import { adoptMerge, mergeConversation } from "./merge.js";

const turn = (id: string, question = id): Turn => ({ id, question, attachments: [], answers: [], chosen: 0, leftOut: 0 });
const talk = (turns: Turn[], more: Partial<Conversation> = {}): Conversation => ({
  schema: 1,
  id: "a",
  title: "t",
  created: 0,
  updated: 0,
  act: "off",
  draft: "",
  attachments: [],
  queue: [],
  editing: null,
  turns,
  ...more,
});
const ids = (conversation: Conversation | null) =>
  conversation?.turns.map(({ id, question }) => (id === question ? id : `${id}:${question}`));
const base = talk([turn("a"), turn("b")]);

test("what both added is kept, what one removed or changed is removed or changed", () => {
  const disk = talk([turn("a"), turn("b"), turn("x")]);
  assert.deepEqual(ids(mergeConversation({ base, disk, mine: talk([turn("a"), turn("b"), turn("m")]) })), ["a", "b", "x", "m"]);
  assert.deepEqual(ids(mergeConversation({ base, disk: talk([turn("a")]), mine: base })), ["a"]);
  assert.deepEqual(ids(mergeConversation({ base, disk: base, mine: talk([turn("a")]) })), ["a"]);
  const theirs = talk([turn("a"), turn("b", "their edit")]);
  assert.deepEqual(ids(mergeConversation({ base, disk: theirs, mine: base })), ["a", "b:their edit"]);
  assert.deepEqual(ids(mergeConversation({ base, disk: theirs, mine: talk([turn("a"), turn("b", "my edit")]) })), ["a", "b:my edit"]);
  assert.deepEqual(ids(mergeConversation({ base, disk: theirs, mine: talk([turn("a")]) })), ["a", "b:their edit"]);
});

test("a deleted conversation stays deleted unless something was added here", () => {
  assert.equal(mergeConversation({ base, disk: null, mine: structuredClone(base) }), null);
  assert.deepEqual(ids(mergeConversation({ base, disk: null, mine: talk([turn("a"), turn("m")]) })), ["a", "m"]);
  assert.deepEqual(ids(mergeConversation({ base: null, disk: null, mine: base })), ["a", "b"]);
});

test("a title or draft of one window does not undo that of the other", () => {
  const merged = mergeConversation({ base, disk: talk(base.turns, { title: "new" }), mine: talk(base.turns, { draft: "half" }) });
  assert.deepEqual([merged?.title, merged?.draft], ["new", "half"]);
});

test("property: two windows that save in turns, in any order, lose no turn and agree in the end", () => {
  fc.assert(
    fc.property(fc.array(fc.record({ who: fc.nat(1), add: fc.boolean() }), { maxLength: 20 }), (steps) => {
      let disk: Conversation = talk([]);
      const windows = [0, 1].map(() => ({ mine: talk([]), base: talk([]) }));
      let next = 0;
      const save = (who: number) => {
        const window = windows[who] as (typeof windows)[0];
        const merged = mergeConversation({ base: window.base, disk, mine: window.mine }) as Conversation;
        adoptMerge(window.mine, structuredClone(window.mine), structuredClone(merged));
        window.base = structuredClone(merged);
        disk = structuredClone(merged);
      };
      for (const { who, add } of steps) {
        if (add) windows[who]?.mine.turns.push(turn(String(next++)));
        else save(who);
      }
      for (const who of [0, 1, 0]) save(who);
      assert.equal(disk.turns.length, next);
      assert.deepEqual(ids(windows[0]?.mine ?? null), ids(windows[1]?.mine ?? null));
    }),
  );
});

test("what streams into an object here goes on, while a merge brings the other window's turns", () => {
  const here = talk([turn("a")]);
  const streaming = here.turns[0];
  const sent = structuredClone(here);
  if (streaming) streaming.question = "grown meanwhile";
  adoptMerge(here, sent, talk([turn("a"), turn("x")]));
  assert.equal(here.turns[0], streaming);
  assert.deepEqual(ids(here), ["a:grown meanwhile", "x"]);
  const { answers } = here.turns[1] as Turn;
  adoptMerge(here, structuredClone(here), structuredClone(here));
  assert.equal(here.turns[1]?.answers, answers, "what is the same is not replaced");
});
