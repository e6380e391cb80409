import assert from "node:assert/strict";
import fs from "node:fs/promises";
import path from "node:path";
import { describe, it } from "node:test";
import { temporaryFolder } from "../../test/fixtures/temporary.js";
import type { Conversation } from "../protocol/chat.js";
import { ConversationStore } from "./conversations.js";

const conversation = (id: string, updated: number): Conversation => ({
  schema: 1,
  id,
  title: id,
  created: 0,
  updated,
  act: "off",
  draft: "half a thought",
  attachments: [],
  queue: [],
  editing: null,
  turns: [
    { id: "t", question: "why 😀?", attachments: [], chosen: 0, leftOut: 0, answers: [{ act: false, text: "be", state: "streaming" }] },
  ],
});

const store = () => new ConversationStore(path.join(temporaryFolder("conversations"), "chat"));

describe("the store of conversations", () => {
  it("gives back what was saved, newest first, and an interrupted answer as stopped", async () => {
    const one = store();
    await one.save(conversation("a", 1));
    await one.save(conversation("b", 2));
    const { conversations, damaged } = await one.list();
    assert.deepEqual(
      conversations.map((c) => c.id),
      ["b", "a"],
    );
    assert.deepEqual(damaged, []);
    assert.equal(conversations[0]?.draft, "half a thought");
    assert.equal(conversations[0]?.turns[0]?.answers[0]?.state, "stopped");
    assert.equal(conversations[0]?.turns[0]?.answers[0]?.text, "be");
  });
  it("keeps the last of many writes", async () => {
    const one = store();
    await Promise.all(Array.from({ length: 20 }, (_, i) => one.save({ ...conversation("a", i), title: `title ${i}` })));
    assert.equal((await one.list()).conversations[0]?.title, "title 19");
  });
  it("is not stopped by a damaged file, and leaves it there", async () => {
    const one = store();
    await one.save(conversation("a", 1));
    await fs.writeFile(path.join(one.folder, "broken.json"), '{"schema":1,');
    await fs.writeFile(path.join(one.folder, "other.json"), JSON.stringify(conversation("a", 3)));
    const { conversations, damaged } = await one.list();
    assert.equal(conversations.length, 1);
    assert.deepEqual(damaged.sort(), ["broken.json", "other.json"]);
    await fs.access(path.join(one.folder, "broken.json"));
  });
  it("deletes, and never leaves its folder", async () => {
    const one = store();
    await one.save(conversation("a", 1));
    await one.delete("a");
    assert.deepEqual((await one.list()).conversations, []);
    await assert.rejects(one.delete("../../etc/passwd"));
  });
  it("keeps the turns of two windows that write to one conversation", async () => {
    const folder = path.join(temporaryFolder("conversations"), "chat");
    const [one, two] = [new ConversationStore(folder), new ConversationStore(folder)];
    await one.save({ ...conversation("a", 1), turns: [] });
    const [here] = (await one.list()).conversations as [Conversation];
    const [there] = (await two.list()).conversations as [Conversation];
    const turn = (id: string) => ({ ...(conversation("a", 1).turns[0] as Conversation["turns"][0]), id });
    const writes: Promise<boolean>[] = [];
    for (let i = 0; i < 10; i++) {
      for (const [store, view, name] of [
        [one, here, "one"],
        [two, there, "two"],
      ] as const) {
        view.turns.push(turn(`${name} ${i}`));
        writes.push(store.save(view));
      }
      if (i % 3 === 0) await Promise.all(writes);
    }
    await Promise.all(writes);
    const { conversations } = await new ConversationStore(folder).list();
    const ids = (conversations[0]?.turns ?? []).map(({ id }) => id);
    assert.equal(ids.length, 20);
    assert.equal(new Set(ids).size, 20);
    for (const name of ["one", "two"])
      assert.deepEqual(
        ids.filter((id) => id.startsWith(name)),
        Array.from({ length: 10 }, (_, i) => `${name} ${i}`),
      );
  });
  it("an answer that streams here is not disturbed by its own saves, and another window shows it as incomplete until it is", async () => {
    const folder = path.join(temporaryFolder("conversations"), "chat");
    const [one, two] = [new ConversationStore(folder), new ConversationStore(folder)];
    const here = conversation("a", 1);
    const state = (of: Conversation | undefined) => of?.turns[0]?.answers[0]?.state;
    await one.save(here);
    await one.save(here);
    assert.equal(state(here), "streaming");
    const there = (await two.list()).conversations;
    assert.equal(state(there[0]), "stopped");
    (there[0] as Conversation).draft = "theirs";
    await two.save(there[0] as Conversation);
    const answer = here.turns[0]?.answers[0];
    if (answer) Object.assign(answer, { text: "be cause", state: "done" });
    await one.save(here);
    await two.refresh(there);
    assert.equal(state(there[0]), "done");
    await two.save(there[0] as Conversation);
    const [final] = (await one.list()).conversations;
    assert.deepEqual([state(final), final?.turns[0]?.answers[0]?.text, final?.draft], ["done", "be cause", "theirs"]);
  });
  it("takes in what another window wrote, and what it deleted", async () => {
    const folder = path.join(temporaryFolder("conversations"), "chat");
    const [one, two] = [new ConversationStore(folder), new ConversationStore(folder)];
    for (const id of ["a", "b"]) await one.save(conversation(id, 1));
    const here = (await one.list()).conversations;
    const there = (await two.list()).conversations;
    const [a, b] = ["a", "b"].map((id) => there.find((c) => c.id === id)) as [Conversation, Conversation];
    a.turns.push({ ...(a.turns[0] as Conversation["turns"][0]), id: "new" });
    await two.save(a);
    await two.delete(b.id);
    await two.save(conversation("c", 5));
    const mine = here.find((c) => c.id === "a") as Conversation;
    mine.draft = "mine";
    const { added, gone } = await one.refresh(here);
    assert.deepEqual([added.map(({ id }) => id), gone], [["c"], ["b"]]);
    assert.deepEqual([mine.turns.map(({ id }) => id), mine.draft], [["t", "new"], "mine"]);
    await one.save(mine);
    assert.equal((await two.list()).conversations.find((c) => c.id === "a")?.draft, "mine");
  });
});
