import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { argumentsObject, ToolCallStream } from "./tool-calls.js";

const known = [{ name: "read_file", parameters: { type: "object", properties: { path: { type: "string" } } } }, { name: "add" }];

/** What is shown and which calls are found, whatever pieces the answer comes in. */
function read(answer: string, pieces: readonly string[] = [answer]) {
  const stream = new ToolCallStream(known);
  const text = pieces.map((piece) => stream.push(piece)).join("") + stream.end();
  return { text, calls: stream.calls.map(({ name, arguments: given }) => [name, given]), ids: stream.calls.map(({ id }) => id) };
}
const add = (value: unknown) => ["add", { a: value }];

const FORMS: [what: string, answer: string, text: string, calls: unknown[]][] = [
  [
    "Hermes and Qwen, two calls behind a text",
    'I will look.\n<tool_call>\n{"name": "read_file", "arguments": {"path": "a.txt"}}\n</tool_call>\n<tool_call>{"name":"add","arguments":{"a":1}}</tool_call>',
    "I will look.",
    [["read_file", { path: "a.txt" }], add(1)],
  ],
  ["a closing tag that was the end token", '<tool_call>{"name":"add","arguments":{"a":1}}', "", [add(1)]],
  ["text after a call", '<tool_call>{"name":"add","arguments":{"a":1}}</tool_call>\nNow I wait.', "Now I wait.", [add(1)]],
  [
    "Qwen3-Coder",
    "<tool_call>\n<function=read_file>\n<parameter=path>\na.txt\n</parameter>\n</function>\n</tool_call>",
    "",
    [["read_file", { path: "a.txt" }]],
  ],
  [
    "Qwen3-Coder, a text that looks like JSON",
    '<tool_call>\n<function=read_file>\n<parameter=path>\n{"a": 1}\n</parameter>\n</function>\n</tool_call>',
    "",
    [["read_file", { path: '{"a": 1}' }]],
  ],
  [
    "Gemma 4",
    '<|tool_call>call:add{a:{b:<|"|>say "hi", x:1<|"|>,c:[1,true]}}<tool_call|><|tool_call>call:add{a:1}<tool_call|>',
    "",
    [add({ b: 'say "hi", x:1', c: [1, true] }), add(1)],
  ],
  ["GLM", "<tool_call>add\n<arg_key>a</arg_key>\n<arg_value>1</arg_value>\n</tool_call>", "", [add(1)]],
  ["Mistral's list", '[TOOL_CALLS] [{"name":"add","arguments":"{\\"a\\":2}","id":"abcdefghi"}]', "", [add(2)]],
  ["Mistral since 2025", '[TOOL_CALLS]add[CALL_ID]abc123xyz[ARGS]{"a": 1}[TOOL_CALLS]add[ARGS]{"a": 2}', "", [add(1), add(2)]],
  ["Llama 3", '{"name": "add", "parameters": {"a": 3}}', "", [add(3)]],
  [
    "Llama 3 behind its tag",
    '<|python_tag|>{"name":"add","parameters":{"a":1}}; {"name":"add","parameters":{"a":2}}',
    "",
    [add(1), add(2)],
  ],
  ["functionary", 'Sure.\n<function=add>{"a": 1}</function>', "Sure.", [add(1)]],
  ["Granite", '<|tool_call|>[{"name":"add","arguments":{"a":1}}]', "", [add(1)]],
  ["Command R7B", '<|START_ACTION|>[{"tool_call_id":"0","tool_name":"add","parameters":{"a":1}}]<|END_ACTION|>', "", [add(1)]],
  [
    "DeepSeek V3",
    '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>add\n```json\n{"a":1}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
    "",
    [add(1)],
  ],
  [
    "DeepSeek V3.1",
    '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>add<｜tool▁sep｜>{"a":1}<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
    "",
    [add(1)],
  ],
  [
    "Kimi",
    '<|tool_calls_section_begin|><|tool_call_begin|>functions.add:0<|tool_call_argument_begin|>{"a":1}<|tool_call_end|><|tool_calls_section_end|>',
    "",
    [add(1)],
  ],
  ["Firefunction", ' functools[{"name":"add","arguments":{"a":1}}]', "", [add(1)]],
];

for (const [what, answer, text, calls] of FORMS)
  test(`tool calls: ${what}`, () => {
    const whole = read(answer);
    assert.deepEqual([whole.text, whole.calls], [text, calls]);
    const single = read(answer, [...answer]);
    assert.deepEqual([single.text, single.calls], [text, calls], "character by character");
  });

test("every call has an id of its own, nine letters or digits", () => {
  const ids = [...read(FORMS[0]?.[1] ?? "").ids, ...read(FORMS[0]?.[1] ?? "").ids];
  assert.equal(new Set(ids).size, 4);
  for (const id of ids) assert.match(id, /^[a-z0-9]{9}$/);
});

const NONE = [
  '{"name":"rm","arguments":{}}',
  '<tool_call>{"name":</tool_call>',
  '<tool_call>{"name":"rm","arguments":{}}</tool_call> and so on',
  '{"a":1}',
  "[1,2]",
  "[1] says so, and {x} too",
  "a < b and <tool_",
  "no call at all\n\n",
  "  indented\n",
  "",
];
for (const answer of NONE)
  test(`what is no call stays text: ${JSON.stringify(answer)}`, () => {
    assert.deepEqual(read(answer).calls, []);
    assert.equal(read(answer).text, answer);
    assert.equal(read(answer, [...answer]).text, answer);
  });

test("property: an answer without a call comes out as it is, in whatever pieces", () => {
  const piece = fc.constantFrom("<tool_call>", "</tool_call>", "<tool", "[TOOL_CALLS]", "{", "}", '"name"', " ", "\n", "word", "add");
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
      const { text, calls } = read(pieces.join(""), pieces);
      if (calls.length === 0) assert.equal(text, pieces.join(""));
    }),
  );
});

test("text is not held back longer than it may be a call", () => {
  const stream = new ToolCallStream(known);
  assert.equal(stream.push("Let me see"), "Let me see");
  assert.equal(stream.push(" <b>bold</b>"), " <b>bold</b>");
  assert.equal(stream.push(' {"a": 1}'), ' {"a": 1}');
});

test("arguments are an object, whatever a model or a client made of them", () => {
  assert.deepEqual(argumentsObject('{"a":1}'), { a: 1 });
  assert.deepEqual(argumentsObject(undefined), {});
  assert.deepEqual(argumentsObject("plain"), { value: "plain" });
  assert.deepEqual(argumentsObject([1]), { value: [1] });
});
