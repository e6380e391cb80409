import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { marked } from "marked";
import { widenFences } from "./fences.js";

const blocks = (markdown: string) =>
  marked
    .lexer(widenFences(markdown))
    .filter(({ type }) => type !== "space")
    .map((token) => [token.type, "text" in token ? token.text : ""]);

test("a fence around others ends with its own end", () => {
  const text = "Here is the file:\n\n```markdown\n# Doc\n\n```js\na();\n```\n\nmore\n```\n\nAfter\n";
  assert.deepEqual(blocks(text), [
    ["paragraph", "Here is the file:"],
    ["code", "# Doc\n\n```js\na();\n```\n\nmore"],
    ["paragraph", "After"],
  ]);
});

test("inner fences without a language, several of them, tildes, deeper nests", () => {
  assert.deepEqual(blocks("```md\n# Doc\n\n```\na();\n```\n\nmore\n```\n\nAfter"), [
    ["code", "# Doc\n\n```\na();\n```\n\nmore"],
    ["paragraph", "After"],
  ]);
  const two = "```markdown\n```js\na\n```\nand\n```py\nb\n```\n```\nAfter";
  assert.deepEqual(blocks(two), [
    ["code", "```js\na\n```\nand\n```py\nb\n```"],
    ["paragraph", "After"],
  ]);
  assert.deepEqual(blocks("~~~md\n~~~js\na\n~~~\n~~~\nAfter"), [
    ["code", "~~~js\na\n~~~"],
    ["paragraph", "After"],
  ]);
  assert.deepEqual(blocks("````md\n```js\na\n```\n````\nAfter"), [
    ["code", "```js\na\n```"],
    ["paragraph", "After"],
  ]);
});

test("blocks that follow each other stay apart, closed or not", () => {
  assert.deepEqual(blocks("```js\na\n```\n\n```py\nb\n```\n"), [
    ["code", "a"],
    ["code", "b"],
  ]);
  assert.deepEqual(blocks("```md\n# A\n```\n\nText\n\n```md\n# B\n```\n"), [
    ["code", "# A"],
    ["paragraph", "Text"],
    ["code", "# B"],
  ]);
  assert.deepEqual(blocks("```js\nunclosed"), [["code", "unclosed"]]);
});

test("while it streams, a block of Markdown stays one block", () => {
  const text = "```markdown\n# Doc\n\n```js\na();\n```\n\nmore";
  assert.deepEqual(blocks(text), [["code", "# Doc\n\n```js\na();\n```\n\nmore"]]);
});

test("property: a text without fences inside fences is not touched", () => {
  const part = fc.constantFrom("text\n", "\n", "```js\ncode\n```\n", "~~~\ncode\n~~~\n", "- item\n");
  fc.assert(
    fc.property(fc.array(part), (parts) => {
      assert.equal(widenFences(parts.join("")), parts.join(""));
    }),
  );
});
