import type { ChatMessage, ToolDefinition } from "../../protocol/engine.js";
import { argumentsObject } from "./tool-calls.js";

/** Renders messages through a chat template; throws where the template refuses them. */
export type Render = (items: { messages: TemplateMessage[]; tools?: unknown[] }) => string;

/** A message as chat templates expect it (the form of the OpenAI API). */
export interface TemplateMessage {
  role: "system" | "user" | "assistant" | "tool";
  content: string;
  tool_calls?: { id: string; type: "function"; function: { name: string; arguments: Record<string, unknown> } }[];
  tool_call_id?: string;
  /** Of a tool's result: the tool. */
  name?: string;
}

/** What a chat template takes, found by rendering small conversations with it. */
export interface TemplateTraits {
  system: boolean;
  /** Tool definitions appear in the prompt. */
  tools: boolean;
  /** Calls of the assistant and the results after them appear in the prompt. */
  toolCalls: boolean;
  /** Several calls in one message. */
  parallelCalls: boolean;
  /** A user message directly after a tool's result. */
  userAfterTool: boolean;
}

/** Sent for a call whose result never came: the user stopped, or the conversation was cut. */
const NO_RESULT = "No result: the call was not run.";
const NO_ANSWER = "(no answer)";

export function templateTraits(render: Render): TemplateTraits {
  const user = (content: string): TemplateMessage => ({ role: "user", content });
  const calls = (...ids: string[]): TemplateMessage[] => [
    {
      role: "assistant",
      content: "",
      tool_calls: ids.map((id) => ({ id, type: "function", function: { name: `tool${id}`, arguments: { key: `argument${id}` } } })),
    },
    ...ids.map((id): TemplateMessage => ({ role: "tool", content: `result${id}`, tool_call_id: id, name: `tool${id}` })),
  ];
  const shows = (messages: TemplateMessage[], words: string[], tools?: unknown[]) => {
    try {
      const text = render({ messages, ...(tools && { tools }) });
      return words.every((word) => text.includes(word));
    } catch {
      return false;
    }
  };
  const first = "aaaaaaaa1";
  const second = "aaaaaaaa2";
  const parts = (id: string) => [`tool${id}`, `argument${id}`, `result${id}`];
  const tool = templateTool({ name: "toolname", description: "what it does" });
  return {
    system: shows([{ role: "system", content: "systemtext" }, user("usertext")], ["systemtext", "usertext"]),
    tools: shows([user("usertext")], ["toolname", "usertext"], [tool]),
    toolCalls: shows([user("usertext"), ...calls(first)], parts(first)),
    parallelCalls: shows([user("usertext"), ...calls(first, second)], [...parts(first), ...parts(second)]),
    userAfterTool: shows([user("usertext"), ...calls(first), user("moretext")], [...parts(first), "moretext"]),
  };
}

export function templateTool(tool: ToolDefinition): unknown {
  return { type: "function", function: { description: "", ...tool, parameters: tool.parameters ?? { type: "object", properties: {} } } };
}

/**
 * The conversation in a form that the template takes, whatever was stopped, left empty or cut before: one system message at the front, user and
 * assistant in turns, every tool call with its result directly after it, ids of nine letters or digits. What a template has no place for
 * (system text, tool calls) becomes part of the text around it.
 */
export function templateForm(messages: readonly ChatMessage[], traits: TemplateTraits): TemplateMessage[] {
  const system = messages.filter(({ role, content }) => role === "system" && content !== "").map(({ content }) => content);
  const steps = withResults(messages);
  const form: TemplateMessage[] = [];
  const add = (message: TemplateMessage) => {
    const before = form.at(-1);
    const joins = before && before.role === message.role && message.role !== "tool" && !before.tool_calls;
    if (joins) form[form.length - 1] = { ...before, ...message, content: joined(before.content, message.content) };
    else if (message.role === "user" && before?.role === "tool" && !traits.userAfterTool)
      form.push({ role: "assistant", content: NO_ANSWER }, message);
    else form.push(message);
  };
  for (const step of steps) {
    if (form.length === 0 && step.role !== "user") add({ role: "user", content: "" });
    if (step.calls.length === 0) {
      if (step.role === "user" || step.content.trim() !== "") add({ role: step.role, content: step.content });
    } else if (!traits.toolCalls) {
      add({ role: "assistant", content: joined(step.content, ...step.calls.map(callText)) });
      add({ role: "user", content: step.calls.map(resultText).join("\n\n") });
    } else {
      const together = traits.parallelCalls ? [step.calls] : step.calls.map((call) => [call]);
      together.forEach((calls, i) => {
        add({ role: "assistant", content: i === 0 ? step.content : "", tool_calls: calls.map(templateCall) });
        for (const { id, name, result } of calls) add({ role: "tool", content: result, tool_call_id: id, name });
      });
    }
  }
  if (form.length === 0) form.push({ role: "user", content: "" });
  if (system.length === 0) return form;
  const text = system.join("\n\n");
  if (traits.system) return [{ role: "system", content: text }, ...form];
  const [opening, ...rest] = form as [TemplateMessage, ...TemplateMessage[]];
  return [{ ...opening, content: joined(text, opening.content) }, ...rest];
}

interface Call {
  id: string;
  name: string;
  arguments: Record<string, unknown>;
  result: string;
}

interface Step {
  role: "user" | "assistant";
  content: string;
  calls: Call[];
}

/** Brings every tool result to its call. A result without a call is told as text. */
function withResults(messages: readonly ChatMessage[]): Step[] {
  const steps: Step[] = [];
  const open = new Map<string, Call>();
  const used = new Set<string>();
  for (const { role, content, toolCalls = [], toolCallId } of messages) {
    if (role === "system") continue;
    if (role === "tool") {
      const call = open.get(toolCallId ?? "");
      if (call) call.result = call.result === NO_RESULT ? content : joined(call.result, content);
      else steps.push({ role: "user", content: `Result of a tool:\n${content}`, calls: [] });
      continue;
    }
    const calls = toolCalls.map((call): Call => {
      const made = { id: templateId(call.id, used), name: call.name, arguments: argumentsObject(call.arguments), result: NO_RESULT };
      open.set(call.id, made);
      return made;
    });
    steps.push({ role, content, calls });
  }
  return steps;
}

/** An id of nine letters or digits, as Mistral's templates insist on; the same conversation gives the same ids, so its cached prefix stays valid. */
function templateId(id: string, used: Set<string>): string {
  let made = id;
  for (let n = 0; !/^[A-Za-z0-9]{9}$/.test(made) || used.has(made); n++) made = hashed(`${id} ${n}`);
  used.add(made);
  return made;
}

/** Nine characters of base 36 from two FNV-1a hashes. */
function hashed(text: string): string {
  let a = 0x811c9dc5;
  let b = 0x01000193;
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0;
    a = Math.imul(a ^ code, 0x01000193);
    b = Math.imul(b ^ code, 0x811c9dc5);
  }
  return ((a >>> 0).toString(36) + (b >>> 0).toString(36)).padStart(9, "0").slice(-9);
}

function templateCall({ id, name, arguments: given }: Call) {
  return { id, type: "function" as const, function: { name, arguments: given } };
}

function callText({ name, arguments: given }: Call): string {
  return `<tool_call>\n${JSON.stringify({ name, arguments: given })}\n</tool_call>`;
}

function resultText({ name, result }: Call): string {
  return `Result of ${name}:\n${result}`;
}

function joined(...texts: string[]): string {
  return texts.filter((text) => text !== "").join("\n\n");
}
