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
});
