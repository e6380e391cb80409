import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { ChatMessage } from "../../protocol/engine.js";
import { fitConversation } from "./fit.js";

const message = (role: ChatMessage["role"], content: string): ChatMessage => ({ role, content });
const sum = (messages: readonly ChatMessage[]) => messages.reduce((all, { content }) => all + content.length, 0);
/** One token a character, and `each` more for every message. */
const counting = (each = 0) => ({
  exactly: (messages: ChatMessage[]) => sum(messages) + each * messages.length,
  roughly: ({ content }: ChatMessage) => content.length,
});
const count = counting();
const talk = [
  message("system", "be brief"),
  message("user", "aaaa"),
  message("assistant", "bbbb"),
  message("tool", "cccc"),
  message("user", "dd"),
  message("assistant", "ee"),
  message("user", "ffff"),
];

test("a conversation that fits is left alone", () => {
  assert.deepEqual(fitConversation(talk, 100, count), { messages: talk, dropped: [], tokens: 28, about: false });
});

test("whole turns go, oldest first; system and the last question stay", () => {
  assert.deepEqual(fitConversation(talk, 27, count).dropped, [1, 2, 3]);
  assert.deepEqual(fitConversation(talk, 15, count).dropped, [1, 2, 3, 4, 5]);
  const smallest = fitConversation(talk, 3, count);
  assert.deepEqual(smallest.messages, [talk[0], talk[6]]);
  assert.equal(smallest.tokens, 12);
});

test("a conversation that must not be cut, or is far too long, is not rendered", () => {
  const never = { exactly: () => assert.fail("rendered"), roughly: count.roughly };
  assert.deepEqual(fitConversation(talk, 20, never, false), { messages: talk, dropped: [], tokens: 28, about: true });
  const huge = [...talk, message("user", "x".repeat(1000))];
  assert.deepEqual(fitConversation(huge, 100, never), {
    messages: [talk[0], huge.at(-1)],
    dropped: [1, 2, 3, 4, 5, 6],
    tokens: 1008,
    about: true,
  });
});

test("after a message that could never fit, the next one works", () => {
  const after = [message("user", "x".repeat(1000)), message("assistant", ""), message("user", "hi")];
  assert.deepEqual(fitConversation(after, 100, count).dropped, [0, 1]);
});

test("a long conversation is rendered a few times, whatever its length", () => {
  let rendered = 0;
  const long = Array.from({ length: 2000 }, (_, i) => message(i % 2 ? "assistant" : "user", "word ".repeat(20 + (i % 7))));
  const each = counting(7);
  const exactly = (messages: ChatMessage[]) => {
    rendered++;
    return each.exactly(messages);
  };
  const watched = { ...each, exactly };
  const { tokens, messages } = fitConversation([...long, message("user", "hi")], 8000, watched);
  assert.ok(tokens <= 8000 && tokens > 7500, String(tokens));
  assert.equal(messages[0]?.role, "user");
  assert.ok(rendered <= 6, `rendered ${rendered} times`);
});

test("property: what is kept is in order, fits unless it is the smallest, and one turn more would not fit", () => {
  const messages = fc.array(
    fc.record({ role: fc.constantFrom("system" as const, "user" as const, "assistant" as const), content: fc.string({ maxLength: 9 }) }),
    { maxLength: 12 },
  );
  fc.assert(
    fc.property(messages, fc.nat(80), fc.nat(4), (all, budget, each) => {
      const exact = counting(each).exactly;
      const { messages: kept, dropped, tokens, about } = fitConversation(all, budget, counting(each));
      assert.deepEqual(
        kept,
        all.filter((_, index) => !dropped.includes(index)),
      );
      if (about) assert.ok(tokens > budget);
      else assert.equal(tokens, exact(kept));
      assert.ok(dropped.every((index) => all[index]?.role !== "system"));
      if (exact(all) <= budget) assert.deepEqual(dropped, []);
      const lastUser = all.findLastIndex(({ role }) => role === "user");
      assert.ok(lastUser < 0 || !dropped.includes(lastUser));
      // The newest of the dropped turns begins with its user message; with it the prompt would be too long.
      const last = dropped.findLast((index) => all[index]?.role === "user");
      if (last !== undefined && tokens <= budget) {
        const more = all.filter((_, index) => index >= last || !dropped.includes(index));
        assert.ok(exact(more) > budget);
      }
    }),
  );
});
