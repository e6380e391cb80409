/** A tool call that a model wrote, with the id its result will be matched by. */
export interface ToolCall {
  id: string;
  name: string;
  arguments: unknown;
}

/**
 * Reads tool calls out of an answer, in the forms that chat templates with tools teach:
 * `<tool_call>{…}</tool_call>` (Hermes, Qwen, SmolLM), `[TOOL_CALLS][{…}]` (Mistral), a bare `{"name": …, "parameters": …}` (Llama 3),
 * and the same behind `<|python_tag|>`. Only names in `known` count: text that merely looks like a call stays text.
 */
export function parseToolCalls(answer: string, known: readonly string[]): { text: string; calls: ToolCall[] } {
  const calls: ToolCall[] = [];
  const take = (json: string): boolean => {
    const found = readCalls(json, known);
    for (const call of found) calls.push({ id: `call_${calls.length + 1}`, ...call });
    return found.length > 0;
  };
  const text = answer.replace(/<tool_call>([\s\S]*?)(?:<\/tool_call>|$)/g, (whole, json: string) => (take(json) ? "" : whole));
  if (calls.length > 0) return { text: text.trim(), calls };
  const bare = /^\s*(?:\[TOOL_CALLS\]|<\|python_tag\|>)?\s*([[{][\s\S]*[\]}])\s*$/.exec(answer)?.[1];
  if (bare !== undefined && take(bare)) return { text: "", calls };
  return { text: answer, calls: [] };
}

function readCalls(json: string, known: readonly string[]): Omit<ToolCall, "id">[] {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    return [];
  }
  const items = Array.isArray(value) ? value : [value];
  const calls = items.map((item) => readCall(item, known));
  return calls.every((call) => call !== null) ? calls : [];
}

function readCall(item: unknown, known: readonly string[]): Omit<ToolCall, "id"> | null {
  if (typeof item !== "object" || item === null) return null;
  const { name, arguments: given, parameters } = item as Record<string, unknown>;
  if (typeof name !== "string" || !known.includes(name)) return null;
  const value = given ?? parameters ?? {};
  if (typeof value !== "string") return { name, arguments: value };
  try {
    return { name, arguments: JSON.parse(value) };
  } catch {
    return { name, arguments: value };
  }
}
