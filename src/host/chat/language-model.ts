import * as path from "node:path";
import * as vscode from "vscode";
import type { ChatMessage, ToolDefinition } from "../../protocol/engine.js";
import type { ActiveSet } from "../calibration/active-sets.js";
import { type Engine, signalOf } from "../engine/engine.js";
import type { Settings } from "../settings.js";

export const VENDOR = "act";

/** Our model in VS Code's own chat and for other extensions: streaming, exact token counts, tool calls where the template has them. */
export class LocalModelProvider implements vscode.LanguageModelChatProvider, vscode.Disposable {
  private readonly changed = new vscode.EventEmitter<void>();
  readonly onDidChangeLanguageModelChatInformation = this.changed.event;
  private readonly listening: vscode.Disposable;
  private last = "";

  constructor(
    private readonly engine: Engine,
    private readonly settings: Settings,
    private readonly headSet: ActiveSet,
  ) {
    const look = () => {
      const { model } = engine.status;
      const now = JSON.stringify([engine.modelPath, model?.name, model?.contextSize, model?.tools, this.calibrated]);
      if (now !== this.last) this.changed.fire();
      this.last = now;
    };
    this.listening = vscode.Disposable.from(
      engine.onDidChange(look),
      headSet.onDidChange(look),
      vscode.lm.registerLanguageModelChatProvider(VENDOR, this),
    );
  }

  provideLanguageModelChatInformation(): vscode.LanguageModelChatInformation[] {
    const file = this.engine.modelPath;
    if (file === "") return [];
    const { model } = this.engine.status;
    const context = model?.contextSize ?? this.settings.get("model.contextSize");
    const output = Math.min(this.settings.get("chat.maxTokens"), Math.floor(context / 2));
    const name = this.engine.modelName ?? path.basename(file, ".gguf");
    const calibrated = this.calibrated;
    return [
      {
        id: path.basename(file, ".gguf"),
        name,
        family: model?.architecture ?? "gguf",
        version: "1",
        detail: calibrated ? "local, ACT on" : "local",
        tooltip: `${name} runs on this machine${calibrated ? ", with its head set applied" : ""}.`,
        maxInputTokens: context - output,
        maxOutputTokens: output,
        capabilities: { toolCalling: model ? model.tools : true, imageInput: false },
      },
    ];
  }

  async provideLanguageModelChatResponse(
    _model: vscode.LanguageModelChatInformation,
    messages: readonly vscode.LanguageModelChatRequestMessage[],
    options: vscode.ProvideLanguageModelChatResponseOptions,
    progress: vscode.Progress<vscode.LanguageModelResponsePart>,
    token: vscode.CancellationToken,
  ): Promise<void> {
    const signal = signalOf(token);
    await this.headSet.ready();
    const model = await this.engine.model(signal);
    const tools = model.tools ? options.tools?.map(toolDefinition) : undefined;
    const result = await this.engine.request(
      "chat",
      {
        messages: messages.flatMap(toMessages),
        ...(tools && tools.length > 0 ? { tools } : {}),
        maxTokens: this.settings.get("chat.maxTokens"),
        temperature: this.settings.get("chat.temperature"),
        calibration: this.headSet.calibration(model),
        conversation: "vscode",
        // Whoever asks was told the size of the context; what is too long is theirs to cut, not ours to drop silently.
        overflow: "error",
      },
      { signal, onProgress: ({ text }) => progress.report(new vscode.LanguageModelTextPart(text)) },
    );
    for (const call of result.toolCalls) {
      const input = typeof call.arguments === "object" && call.arguments !== null ? call.arguments : {};
      progress.report(new vscode.LanguageModelToolCallPart(call.id, call.name, input));
    }
  }

  async provideTokenCount(
    _model: vscode.LanguageModelChatInformation,
    text: string | vscode.LanguageModelChatRequestMessage,
    token: vscode.CancellationToken,
  ): Promise<number> {
    const params = typeof text === "string" ? { text } : { messages: toMessages(text) };
    return (await this.engine.request("count", params, { signal: signalOf(token) })).tokens;
  }

  dispose(): void {
    this.listening.dispose();
    this.changed.dispose();
  }

  private get calibrated(): boolean {
    return this.headSet.calibration(this.engine.status.model) !== null;
  }
}

function toolDefinition(tool: vscode.LanguageModelChatTool): ToolDefinition {
  return { name: tool.name, description: tool.description, parameters: tool.inputSchema };
}

/** One of VS Code's messages as ours: tool results become messages of their own. */
export function toMessages(message: vscode.LanguageModelChatRequestMessage): ChatMessage[] {
  const role = message.role === vscode.LanguageModelChatMessageRole.Assistant ? "assistant" : "user";
  const results: ChatMessage[] = [];
  const toolCalls: NonNullable<ChatMessage["toolCalls"]> = [];
  let text = "";
  for (const part of message.content) {
    if (part instanceof vscode.LanguageModelTextPart) text += part.value;
    else if (part instanceof vscode.LanguageModelToolCallPart) toolCalls.push({ id: part.callId, name: part.name, arguments: part.input });
    else if (part instanceof vscode.LanguageModelToolResultPart) {
      const content = part.content.map((one) => (one instanceof vscode.LanguageModelTextPart ? one.value : "")).join("");
      results.push({ role: "tool", content, toolCallId: part.callId });
    }
  }
  if (text === "" && toolCalls.length === 0) return results;
  return [...results, { role, content: text, ...(toolCalls.length > 0 ? { toolCalls } : {}) }];
}
