import type { ToolDefinition } from "../../protocol/engine.js";
import { overlap } from "./text-stream.js";

/** A tool call that a model wrote, with the id its result will be matched by. */
export interface ToolCall {
  id: string;
  name: string;
  arguments: unknown;
}

interface Call extends Omit<ToolCall, "id"> {
  /** The form writes values without quotes: what is JSON in them is for the tool's schema to say. */
  plain?: boolean;
}

type Tool = Pick<ToolDefinition, "name" | "parameters">;

/** A way in which chat templates teach models to call tools: what opens a call, what closes it (null: the end of the answer), how it is read. */
interface Form {
  open: string;
  close: string | null;
  read(body: string): Call[];
}

/** How Gemma 4 quotes. */
const QUOTE = '<|"|>';

/** Every form that is understood; a longer opening before one that begins like it. */
const FORMS: readonly Form[] = [
  // Hermes, Qwen, SmolLM (JSON); Qwen3-Coder (function and parameter tags); GLM (name, then keys and values).
  { open: "<tool_call>", close: "</tool_call>", read: (body) => firstOf(body, readJson, readFunctionTags, readKeyTags) },
  // Gemma 4.
  { open: "<|tool_call>", close: "<tool_call|>", read: readGemma },
  // Granite, Phi-4.
  { open: "<|tool_call|>", close: "<|/tool_call|>", read: readJson },
  // Llama 3 and functionary.
  { open: "<function=", close: "</function>", read: (body) => readNamed(/^([^>\s]+)>([\s\S]*)$/, body) },
  { open: "<|python_tag|>", close: null, read: readJson },
  // Mistral: a list, or since 2025 the name before each call's arguments.
  { open: "[TOOL_CALLS]", close: null, read: (body) => firstOf(body, readJson, readNameThenArguments) },
  // Command R7B.
  { open: "<|START_ACTION|>", close: "<|END_ACTION|>", read: readJson },
  // DeepSeek R1 and V3, V3.1.
  { open: "<｜tool▁calls▁begin｜>", close: "<｜tool▁calls▁end｜>", read: readDeepSeek },
  // Kimi.
  { open: "<|tool_calls_section_begin|>", close: "<|tool_calls_section_end|>", read: readKimi },
  // Firefunction.
  { open: "functools[", close: null, read: (body) => readJson(`[${body}`) },
];

/** Control tokens that are part of a call: shown to the reader of calls, never to the user. */
export const CALL_TEXTS: readonly string[] = [
  ...FORMS.flatMap(({ open, close }) => (close === null ? [open] : [open, close])),
  "[ARGS]",
  "[CALL_ID]",
  "<｜tool▁call▁begin｜>",
  "<｜tool▁call▁end｜>",
  "<｜tool▁sep｜>",
  "<|tool_call_begin|>",
  "<|tool_call_argument_begin|>",
  "<|tool_call_end|>",
  "<arg_key>",
  "</arg_key>",
  "<arg_value>",
  "</arg_value>",
  QUOTE,
];

/** First keys of a call in an answer of nothing but JSON (Llama 3). */
const BARE_KEYS = ["name", "type", "function", "id", "tool_name", "tool_call_id", "parameters", "arguments"].map((key) => `"${key}"`);

/** Whether an answer that begins so may turn out to be nothing but JSON calls. */
function maybeBare(beginning: string): boolean {
  const opened = /^\s*(?:\[\s*)?(?:\{\s*)?/.exec(beginning)?.[0] ?? "";
  const rest = beginning.slice(opened.length);
  if (rest === "") return true;
  return opened.includes("{") && BARE_KEYS.some((key) => key.startsWith(rest) || rest.startsWith(key));
}

/**
 * Takes an answer as it streams and lets through what is text. What may be a tool call is held back until it is known to be one; a text that
 * merely looks like a call, or calls a tool that is not in `known`, comes out as the text it is.
 */
export class ToolCallStream {
  readonly calls: ToolCall[] = [];
  private held = "";
  /** Something was let through: what follows is no answer of nothing but JSON. */
  private begun = false;

  /** @param newId an id that no call had before */
  constructor(
    private readonly known: readonly Tool[],
    private readonly newId: () => string = randomId,
  ) {}

  push(text: string): string {
    this.held += text;
    let out = "";
    for (;;) {
      const next = this.step();
      if (next === null) return out;
      out += next;
    }
  }

  /** The end of the answer: the text that is still held, where it was none. */
  end(): string {
    let out = "";
    for (;;) {
      const at = this.opening();
      if (!at) break;
      out += this.held.slice(0, at.index);
      const body = this.held.slice(at.index + at.form.open.length);
      this.held = "";
      if (!this.take(at.form.read(body))) return out + at.form.open + body;
    }
    if (!this.begun && this.calls.length === 0 && this.take(readJson(this.held))) this.held = "";
    out += this.calls.length > 0 ? this.held.trimEnd() : this.held;
    this.held = "";
    return this.calls.length > 0 ? out.trimEnd() : out;
  }

  /** One piece of text or one call out of what is held; null where more must come first. */
  private step(): string | null {
    const at = this.opening();
    if (at) {
      if (at.index > 0 && this.held.slice(0, at.index).trim() !== "") return this.release(this.held.slice(0, at.index).trimEnd().length);
      const { form } = at;
      const from = at.index + form.open.length;
      const end = form.close === null ? -1 : this.held.indexOf(form.close, from);
      if (end < 0) return null;
      const after = end + (form.close as string).length;
      if (!this.take(form.read(this.held.slice(from, end)))) return this.release(after);
      this.held = this.held.slice(after);
      return "";
    }
    if (!this.begun && this.calls.length === 0 && maybeBare(this.held)) return null;
    // Blanks before a call belong to it.
    const keep = Math.max(0, ...FORMS.map(({ open }) => overlap(this.held, open)));
    const sure = this.held.slice(0, this.held.length - keep).trimEnd().length;
    return sure > 0 ? this.release(sure) : null;
  }

  private opening(): { index: number; form: Form } | null {
    let first: { index: number; form: Form } | null = null;
    for (const form of FORMS) {
      const index = this.held.indexOf(form.open);
      if (index >= 0 && (!first || index < first.index)) first = { index, form };
    }
    return first;
  }

  private release(length: number): string {
    const first = this.held.slice(0, length);
    this.held = this.held.slice(length);
    const text = !this.begun && this.calls.length > 0 ? first.trimStart() : first;
    this.begun ||= text.trim() !== "";
    return text;
  }

  private take(found: Call[]): boolean {
    const calls = found.map(({ name, arguments: given, plain }) => {
      const tool = this.known.find((one) => one.name === name);
      return tool && { name, arguments: plain ? typed(given as Record<string, string>, tool) : given };
    });
    if (calls.length === 0 || calls.includes(undefined)) return false;
    for (const call of calls) if (call) this.calls.push({ id: this.newId(), ...call });
    return true;
  }
}

/** Values that were written without quotes, as the tool's schema has them: JSON unless it says that it is a text. */
function typed(values: Record<string, string>, { parameters }: Tool): Record<string, unknown> {
  const properties = (parameters as { properties?: Record<string, { type?: unknown } | undefined> } | undefined)?.properties;
  return Object.fromEntries(
    Object.entries(values).map(([key, value]) => [key, properties?.[key]?.type === "string" ? value : (parse(value) ?? value)]),
  );
}

/** Arguments as an object, which is what templates and VS Code take: JSON in a text is read, anything else is put under `value`. */
export function argumentsObject(given: unknown): Record<string, unknown> {
  const value = typeof given === "string" ? (parse(given) ?? given) : given;
  if (value === null || value === undefined || value === "") return {};
  return typeof value === "object" && !Array.isArray(value) ? (value as Record<string, unknown>) : { value };
}

/** Nine letters or digits, the form that Mistral's templates insist on. */
function randomId(): string {
  const characters = "abcdefghijklmnopqrstuvwxyz0123456789";
  return Array.from(crypto.getRandomValues(new Uint8Array(9)), (byte) => characters[byte % characters.length]).join("");
}

function firstOf(body: string, ...readers: ((body: string) => Call[])[]): Call[] {
  for (const read of readers) {
    const calls = read(body);
    if (calls.length > 0) return calls;
  }
  return [];
}

/** One call or a list of them in JSON, or several values after each other with nothing but blanks, `,` or `;` between. */
function readJson(body: string): Call[] {
  const whole = parse(body);
  const values = whole === undefined ? severalValues(body) : Array.isArray(whole) ? whole : [whole];
  const calls = values.map(readCall);
  return calls.every((call) => call !== null) ? calls : [];
}

function severalValues(body: string): unknown[] {
  const values: unknown[] = [];
  let rest = body.trim();
  while (rest !== "") {
    const length = valueLength(rest);
    const value = length > 0 ? parse(rest.slice(0, length)) : undefined;
    if (value === undefined) return [];
    values.push(...(Array.isArray(value) ? value : [value]));
    rest = rest.slice(length).replace(/^[\s,;]+/, "");
  }
  return values;
}

/** Length of the JSON object or list that `text` begins with; 0 where it does not end. */
function valueLength(text: string): number {
  let depth = 0;
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (quoted) {
      if (c === "\\") i++;
      else if (c === '"') quoted = false;
    } else if (c === '"') quoted = true;
    else if (c === "{" || c === "[") depth++;
    else if (c === "}" || c === "]") {
      depth--;
      if (depth === 0) return i + 1;
    }
    if (depth === 0) return 0;
  }
  return 0;
}

function readCall(item: unknown): Call | null {
  if (typeof item !== "object" || item === null) return null;
  const fields = item as Record<string, unknown>;
  const inner = typeof fields.function === "object" && fields.function !== null ? (fields.function as Record<string, unknown>) : fields;
  const name = inner.name ?? inner.tool_name ?? inner.function;
  if (typeof name !== "string") return null;
  return { name, arguments: argumentsObject(inner.arguments ?? inner.parameters) };
}

function readNamed(pattern: RegExp, body: string): Call[] {
  const [, name, json] = pattern.exec(body.trim()) ?? [];
  if (name === undefined || json === undefined) return [];
  const given = json.trim() === "" ? {} : parse(json);
  return given === undefined ? [] : [{ name, arguments: argumentsObject(given) }];
}

/** `name[CALL_ID]id[ARGS]{…}`, several of them each behind its own opening. The marks are missing where they are control tokens. */
function readNameThenArguments(body: string): Call[] {
  const parts = body.split("[TOOL_CALLS]").filter((part) => part.trim() !== "");
  const calls = parts.map((part) => readNamed(/^([\w.-]+)\s*(?:\[CALL_ID\]\w*)?\s*(?:\[ARGS\])?\s*(\{[\s\S]*\})$/, part));
  return calls.every((one) => one.length > 0) ? calls.flat() : [];
}

/** `<function=name><parameter=key>value</parameter></function>`. */
function readFunctionTags(body: string): Call[] {
  return Array.from(body.matchAll(/<function=([^>\s]+)>([\s\S]*?)(?:<\/function>|$)/g), ([, name = "", inner = ""]) => ({
    name,
    plain: true,
    arguments: pairs(inner, /<parameter=([^>\s]+)>([\s\S]*?)<\/parameter>/g),
  }));
}

/** `name<arg_key>key</arg_key><arg_value>value</arg_value>`. */
function readKeyTags(body: string): Call[] {
  const name = /^\s*([\w.-]+)/.exec(body)?.[1];
  if (name === undefined) return [];
  return [{ name, plain: true, arguments: pairs(body, /<arg_key>([\s\S]*?)<\/arg_key>\s*<arg_value>([\s\S]*?)<\/arg_value>/g) }];
}

function pairs(text: string, pattern: RegExp): Record<string, string> {
  return Object.fromEntries(Array.from(text.matchAll(pattern), ([, key = "", raw = ""]) => [key.trim(), raw.replace(/^\n|\n$/g, "")]));
}

/** `call:name{key:<|"|>text<|"|>,other:1}`: JSON but for the quotes, which names of fields do not have. */
function readGemma(body: string): Call[] {
  const [, name, inner] = /^\s*call:([^\s{]+)(\{[\s\S]*\})\s*$/.exec(body) ?? [];
  if (name === undefined || inner === undefined) return [];
  const parts = inner.split(QUOTE);
  const json = parts.map((part, i) => (i % 2 ? JSON.stringify(part) : part.replace(/([{,]\s*)([\w.$-]+)\s*:/g, '$1"$2":')));
  const given = parse(json.join(""));
  return given === undefined ? [] : [{ name, arguments: argumentsObject(given) }];
}

function readDeepSeek(body: string): Call[] {
  const calls = body.split("<｜tool▁call▁begin｜>").slice(1);
  return calls.flatMap((call) => {
    const [head = "", ...rest] = (call.split("<｜tool▁call▁end｜>")[0] ?? "").split("<｜tool▁sep｜>");
    const text = rest.join("");
    // V3 and R1 write the type before the name and the arguments as a block of code; V3.1 writes name and arguments.
    const fenced = /^([^\n]+)\n```json\n([\s\S]*?)\n```/.exec(text);
    const [name, json] = fenced ? [fenced[1] as string, fenced[2] as string] : [head.trim(), text];
    const given = parse(json);
    return given === undefined ? [] : [{ name: name.trim(), arguments: argumentsObject(given) }];
  });
}

function readKimi(body: string): Call[] {
  const calls = body.split("<|tool_call_begin|>").slice(1);
  return calls.flatMap((call) => {
    const [head = "", json = ""] = (call.split("<|tool_call_end|>")[0] ?? "").split("<|tool_call_argument_begin|>");
    const name = head
      .trim()
      .replace(/^functions\./, "")
      .replace(/:\d+$/, "");
    const given = parse(json);
    return given === undefined ? [] : [{ name, arguments: argumentsObject(given) }];
  });
}

function parse(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}
