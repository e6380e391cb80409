import assert from "node:assert/strict";
import { test } from "node:test";
import { parseToolCalls } from "./tool-calls.js";

const known = ["read_file", "add"];

test("tagged calls leave the text around them", () => {
  const answer =
    'Let me look.\n<tool_call>\n{"name": "read_file", "arguments": {"path": "a.ts"}}\n</tool_call>\n<tool_call>{"name":"add","arguments":{"a":1}}</tool_call>';
  assert.deepEqual(parseToolCalls(answer, known), {
    text: "Let me look.",
    calls: [
      { id: "call_1", name: "read_file", arguments: { path: "a.ts" } },
      { id: "call_2", name: "add", arguments: { a: 1 } },
    ],
  });
});

test("a call whose closing tag was the end token", () => {
  assert.equal(parseToolCalls('<tool_call>{"name":"add","arguments":{}}', known).calls.length, 1);
});

test("Mistral's list, Llama's bare object, arguments as a string", () => {
  assert.deepEqual(parseToolCalls('[TOOL_CALLS][{"name":"add","arguments":"{\\"a\\":2}"}]', known).calls, [
    { id: "call_1", name: "add", arguments: { a: 2 } },
  ]);
  assert.deepEqual(parseToolCalls('{"name":"add","parameters":{"a":3}}', known).calls, [
    { id: "call_1", name: "add", arguments: { a: 3 } },
  ]);
  assert.deepEqual(parseToolCalls('<|python_tag|>{"name":"add"}', known).calls, [{ id: "call_1", name: "add", arguments: {} }]);
});

test("unknown names, broken JSON and plain JSON stay text", () => {
  for (const answer of ['{"name":"rm","arguments":{}}', '<tool_call>{"name":</tool_call>', '{"a":1}', "[1,2]", "no call at all", ""]) {
    assert.deepEqual(parseToolCalls(answer, known), { text: answer, calls: [] });
  }
});
