import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { ChatMessage } from "../../protocol/engine.js";
import { fitConversation } from "./fit.js";

const message = (role: ChatMessage["role"], content: string): ChatMessage => ({ role, content });
const count = (messages: ChatMessage[]) => messages.reduce((sum, { content }) => sum + content.length, 0);
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
  assert.deepEqual(fitConversation(talk, 100, count), { messages: talk, dropped: [], tokens: 28 });
});

test("whole turns go, oldest first; system and the last question stay", () => {
  assert.deepEqual(fitConversation(talk, 27, count).dropped, [1, 2, 3]);
  assert.deepEqual(fitConversation(talk, 15, count).dropped, [1, 2, 3, 4, 5]);
  const smallest = fitConversation(talk, 3, count);
  assert.deepEqual(smallest.messages, [talk[0], talk[6]]);
  assert.equal(smallest.tokens, 12);
});

test("property: what is kept is in order, fits unless it is the smallest, and nothing is dropped needlessly", () => {
  const messages = fc.array(
    fc.record({ role: fc.constantFrom("system" as const, "user" as const, "assistant" as const), content: fc.string({ maxLength: 9 }) }),
    { maxLength: 12 },
  );
  fc.assert(
    fc.property(messages, fc.nat(60), (all, budget) => {
      const { messages: kept, dropped, tokens } = fitConversation(all, budget, count);
      assert.deepEqual(
        kept,
        all.filter((_, index) => !dropped.includes(index)),
      );
      assert.equal(tokens, count(kept));
      assert.ok(dropped.every((index) => all[index]?.role !== "system"));
      if (count(all) <= budget) assert.deepEqual(dropped, []);
      const lastUser = all.findLastIndex(({ role }) => role === "user");
      assert.ok(lastUser < 0 || !dropped.includes(lastUser));
    }),
  );
});
