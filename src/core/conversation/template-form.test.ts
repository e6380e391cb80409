import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { ChatMessage } from "../../protocol/engine.js";
import { type TemplateMessage, type TemplateTraits, templateForm, templateTraits } from "./template-form.js";

const ALL: TemplateTraits = { system: true, tools: true, toolCalls: true, parallelCalls: true, userAfterTool: true };
const NONE: TemplateTraits = { system: false, tools: false, toolCalls: false, parallelCalls: false, userAfterTool: false };
const user = (content: string): ChatMessage => ({ role: "user", content });
const assistant = (content: string): ChatMessage => ({ role: "assistant", content });
const short = (messages: TemplateMessage[]) => messages.map(({ role, content }) => `${role}: ${content}`);
const call = (id: string, name = "f", given: unknown = { a: 1 }) => ({ id, name, arguments: given });
const ask = (...ids: string[]): ChatMessage => ({ role: "assistant", content: "", toolCalls: ids.map((id) => call(id)) });
const result = (id: string, content = `result of ${id}`): ChatMessage => ({ role: "tool", content, toolCallId: id });

test("neighbours of one role are joined, an empty answer is left out, system text goes to the front", () => {
  assert.deepEqual(short(templateForm([user("You are a helper."), user("hi")], ALL)), ["user: You are a helper.\n\nhi"]);
  assert.deepEqual(short(templateForm([user("hi"), assistant(""), user("go on")], ALL)), ["user: hi\n\ngo on"]);
  const late = [user("hi"), assistant("yes"), { role: "system" as const, content: "be brief" }, user("go on")];
  assert.deepEqual(short(templateForm(late, ALL)), ["system: be brief", "user: hi", "assistant: yes", "user: go on"]);
  assert.deepEqual(short(templateForm(late, NONE)), ["user: be brief\n\nhi", "assistant: yes", "user: go on"]);
});

test("an answer that comes first, or nothing at all, gets a user message before it", () => {
  assert.deepEqual(short(templateForm([assistant("Welcome"), user("hi")], ALL)), ["user: ", "assistant: Welcome", "user: hi"]);
  assert.deepEqual(short(templateForm([assistant("")], ALL)), ["user: "]);
});

test("every call has its result after it, in the order of the calls; what is missing is said, what is left over is told as text", () => {
  const form = templateForm([user("hi"), ask("x", "y"), result("y"), user("and?"), result("z", "lost")], ALL);
  assert.deepEqual(short(form), [
    "user: hi",
    "assistant: ",
    "tool: No result: the call was not run.",
    "tool: result of y",
    "user: and?\n\nResult of a tool:\nlost",
  ]);
  const ids = form[1]?.tool_calls?.map(({ id }) => id) ?? [];
  assert.deepEqual(
    form.slice(2, 4).map((m) => [m.tool_call_id, m.name]),
    ids.map((id) => [id, "f"]),
  );
});

test("ids get the form that every template takes, the same each time; one that has it is kept", () => {
  const ids = (messages: ChatMessage[]) => templateForm(messages, ALL).flatMap((m) => m.tool_calls?.map(({ id }) => id) ?? []);
  const talk = [user("a"), ask("call_1"), result("call_1"), assistant("b"), user("c"), ask("call_1", "abcDEF123"), result("call_1")];
  const made = ids(talk);
  for (const id of made) assert.match(id, /^[A-Za-z0-9]{9}$/);
  assert.equal(new Set(made).size, 3);
  assert.equal(made[2], "abcDEF123");
  assert.deepEqual(ids(talk), made);
});

test("templates without parallel calls, without calls, or without a user after a tool", () => {
  const talk = [user("hi"), ask("x", "y"), result("x"), result("y"), user("so?")];
  assert.deepEqual(
    templateForm(talk, { ...ALL, parallelCalls: false }).map((m) => [m.role, m.tool_calls?.length ?? 0]),
    [
      ["user", 0],
      ["assistant", 1],
      ["tool", 0],
      ["assistant", 1],
      ["tool", 0],
      ["user", 0],
    ],
  );
  assert.deepEqual(short(templateForm(talk, { ...ALL, userAfterTool: false })).slice(-2), ["assistant: (no answer)", "user: so?"]);
  const text = short(templateForm(talk, NONE));
  assert.equal(text.length, 3);
  assert.match(text[1] ?? "", /<tool_call>\n\{"name":"f","arguments":\{"a":1\}\}\n<\/tool_call>/);
  assert.match(text[2] ?? "", /^user: Result of f:\nresult of x\n\nResult of f:\nresult of y\n\nso\?$/);
});

test("property: roles alternate, every call is followed by its result, no text of a user is lost", () => {
  const message = fc.oneof(
    fc.record({
      role: fc.constantFrom("user" as const, "assistant" as const, "system" as const),
      content: fc.constantFrom("", "one", "two"),
    }),
    fc.constantFrom(ask("x"), ask("x", "y"), result("x"), result("y")),
  );
  const traits = fc.record(Object.fromEntries(Object.keys(ALL).map((key) => [key, fc.boolean()]))) as fc.Arbitrary<TemplateTraits>;
  fc.assert(
    fc.property(fc.array(message, { maxLength: 10 }), traits, (messages, has) => {
      const form = templateForm(messages, has).filter(({ role }) => role !== "system");
      assert.equal(form[0]?.role, "user");
      form.forEach((one, i) => {
        const next = form[i + 1];
        if (one.role === "user") assert.notEqual(next?.role, "user");
        if (one.role === "assistant" && !one.tool_calls) assert.notEqual(one.content.trim(), "");
        one.tool_calls?.forEach((made, n) => {
          assert.equal(form[i + 1 + n]?.tool_call_id, made.id);
        });
      });
      const users = messages.filter(({ role, content }) => role === "user" && content !== "").length;
      const count = (text: string) => text.split(/\b(?:one|two)\b/).length - 1;
      const found = form.filter(({ role }) => role === "user").reduce((sum, { content }) => sum + count(content), 0);
      assert.ok(found >= users);
    }),
  );
});

test("traits: what a template ignores counts as not taken, like what it refuses", () => {
  const plain = ({ messages }: { messages: TemplateMessage[] }) => {
    if (messages[0]?.role === "system") throw new Error("System role not supported");
    return messages.map(({ role, content }) => `${role}: ${content}`).join("\n");
  };
  assert.deepEqual(templateTraits(plain), { ...NONE });
  const all = (items: object) => JSON.stringify(items);
  assert.deepEqual(templateTraits(all), ALL);
});
