import assert from "node:assert/strict";
import { test } from "node:test";
import { scoreOf } from "./match.js";

const best = (query: string, names: string[]) =>
  names.filter((name) => scoreOf(query, name) !== null).sort((a, b) => (scoreOf(query, b) ?? 0) - (scoreOf(query, a) ?? 0));

test("letters in their order, the last part of a path and beginnings of words first", () => {
  assert.deepEqual(best("view", ["src/preview/a.ts", "src/chat/view.ts", "review.md", "none"])[0], "src/chat/view.ts");
  assert.deepEqual(best("sp", ["src/sink-panel.ts", "sip.ts", "readme"]), ["src/sink-panel.ts", "sip.ts"]);
  assert.equal(scoreOf("xyz", "src/view.ts"), null);
  assert.equal(scoreOf("", "anything"), 0);
});
