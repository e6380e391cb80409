import * as vscode from "vscode";
import type { ChatMessage, ToolDefinition } from "../../protocol/engine.js";

/** Of LanguageModelChatMessageRole, not yet in its public part. */
const SYSTEM = 3;

/** One of VS Code's messages as ours: tool results become messages of their own. */
export function toMessages(message: vscode.LanguageModelChatRequestMessage): ChatMessage[] {
  const { role } = message;
  const results: ChatMessage[] = [];
  const toolCalls: NonNullable<ChatMessage["toolCalls"]> = [];
  let text = "";
  for (const part of message.content) {
    if (part instanceof vscode.LanguageModelToolCallPart) toolCalls.push({ id: part.callId, name: part.name, arguments: part.input });
    else if (part instanceof vscode.LanguageModelToolResultPart)
      results.push({ role: "tool", content: toolResult(part), toolCallId: part.callId });
    else text += textOf(part);
  }
  if (text === "" && toolCalls.length === 0) return results;
  const ours = role === vscode.LanguageModelChatMessageRole.Assistant ? "assistant" : (role as number) === SYSTEM ? "system" : "user";
  return [...results, { role: ours, content: text, ...(toolCalls.length > 0 ? { toolCalls } : {}) }];
}

export function toolResult({ content }: { content: readonly unknown[] }): string {
  return content.map(textOf).join("");
}

export function toolDefinition(tool: vscode.LanguageModelChatTool | vscode.LanguageModelToolInformation): ToolDefinition {
  return { name: tool.name, description: tool.description, parameters: tool.inputSchema };
}

/** What of a part is text: also of data that says it is, and of parts that other extensions render from their own elements. */
function textOf(part: unknown): string {
  if (part instanceof vscode.LanguageModelTextPart) return part.value;
  if (typeof part !== "object" || part === null) return "";
  const { mimeType, data, value } = part as { mimeType?: unknown; data?: unknown; value?: unknown };
  if (typeof mimeType === "string" && data instanceof Uint8Array)
    return /^text\/|json$|\+xml$/.test(mimeType) ? new TextDecoder().decode(data) : "";
  return value === undefined ? "" : typeof value === "string" ? value : JSON.stringify(value);
}
