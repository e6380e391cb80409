import assert from "node:assert/strict";
import { test } from "node:test";
import { findTask } from "../../core/tasks/index.js";
import type { Classification, Item } from "../../core/tasks/task.js";
import { ActError } from "../../protocol/errors.js";
import type { Model } from "../run/model.js";
import { contentFreeItems, labelTokens, taskItems } from "./task-items.js";

/** A tokenizer of one token a character, and a small segment; " B" becomes no token. */
const model = {
  info: { ubatch: 200, contextSize: 4096 },
  native: { tokenize: (text: string) => (text === " B" ? [] : [...text].map((c) => c.charCodeAt(0))) },
  encode: (text: string) => [...text].map((c) => c.charCodeAt(0)),
} as unknown as Model;
const item = (text: string, label = 0): Item => ({ id: text.slice(0, 3), fields: { text }, label });

const words = (...labelWords: string[]) => ({ ...(findTask("sst2") as Classification), labelWords });

test("the last token of a label word stands for it, and labels that share it are refused", () => {
  assert.deepEqual(
    labelTokens(model, words(" bad", " good!")),
    ["d", "!"].map((c) => c.charCodeAt(0)),
  );
  assert.throws(
    () => labelTokens(model, words(" spam", " ham", " eggs", " no spam")),
    (error: unknown) =>
      error instanceof ActError && error.code === "data" && /" spam" and " ham" of sst2 end in the same token/.test(error.message),
  );
});

test("a label that becomes no token is a sentence", () => {
  assert.throws(
    () => labelTokens(model, findTask("COPA")),
    (error: unknown) =>
      error instanceof ActError &&
      error.code === "data" &&
      /"B" of COPA becomes no token|" B" of COPA becomes no token/.test(error.message),
  );
});

const turn = { rest: async () => {} };

test("prompts that do not fit are counted and left out, never cut; none left is an error that names the size", async () => {
  const sst2 = words(" bad", " good!");
  const { items, skipped } = await taskItems(model, sst2, [item("x".repeat(500)), item("fine", 1), item("y".repeat(300))], turn);
  assert.deepEqual([items.length, items[0]?.label, skipped], [1, 1, 2]);
  assert.ok((items[0]?.tokens.length ?? 0) <= 200);
  await assert.rejects(
    taskItems(model, sst2, [item("x".repeat(500))], turn),
    (error: unknown) => error instanceof ActError && error.code === "context-overflow" && /200 tokens/.test(error.message),
  );
});

test("content-free inputs exist for classification only, and nothing is right on them", () => {
  assert.equal(contentFreeItems(model, findTask("ARCE")).length, 0);
  const items = contentFreeItems(model, words(" bad", " good!"));
  assert.equal(items.length, 3);
  assert.ok(items.every(({ label }) => label === undefined));
});
