import * as path from "node:path";
import * as vscode from "vscode";
import { toActError } from "../../protocol/errors.js";
import { signalOf } from "../engine/engine.js";
import { ask, type ChatServices } from "./ask.js";
import { toMessages, toolDefinition } from "./messages.js";

export const VENDOR = "act";

/** Our model in VS Code's own chat and for other extensions: streaming, exact token counts, tool calls where the template has them. */
export class LocalModelProvider implements vscode.LanguageModelChatProvider, vscode.Disposable {
  private readonly changed = new vscode.EventEmitter<void>();
  readonly onDidChangeLanguageModelChatInformation = this.changed.event;
  private readonly listening: vscode.Disposable;
  private last = "";

  constructor(private readonly services: ChatServices) {
    const { engine, sets, settings } = services;
    const look = () => {
      const { model } = engine.status;
      const now = JSON.stringify([engine.modelPath, model?.name, model?.contextSize, model?.tools, this.calibrated]);
      if (now !== this.last) this.changed.fire();
      this.last = now;
    };
    this.listening = vscode.Disposable.from(
      engine.onDidChange(look),
      sets.onDidChange(look),
      settings.onDidChange(["chat.maxTokens", "model.contextSize"], () => this.changed.fire()),
      vscode.lm.registerLanguageModelChatProvider(VENDOR, this),
    );
  }

  provideLanguageModelChatInformation(): vscode.LanguageModelChatInformation[] {
    const { engine, settings } = this.services;
    const file = engine.modelPath;
    if (file === "") return [];
    const { model } = engine.status;
    const context = model?.contextSize ?? settings.get("model.contextSize");
    const output = Math.min(settings.get("chat.maxTokens"), Math.floor(context / 2));
    const name = engine.modelName ?? path.basename(file, ".gguf");
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
    try {
      const model = await this.services.engine.model(signal);
      const tools = model.tools ? (options.tools ?? []).map(toolDefinition) : [];
      const must = tools.length > 0 && options.toolMode === vscode.LanguageModelChatToolMode.Required;
      const question = {
        messages: [
          ...messages.flatMap(toMessages),
          ...(must ? [{ role: "system" as const, content: "Answer with a call of one of the tools." }] : []),
        ],
        ...(tools.length > 0 && { tools }),
        conversation: "vscode",
        // Whoever asks was told the size of the context; what is too long is theirs to cut, not ours to drop silently.
        overflow: "error" as const,
        act: "as switched" as const,
      };
      const onText = (text: string) => progress.report(new vscode.LanguageModelTextPart(text));
      const { text, toolCalls } = await ask(this.services, question, { signal, onText });
      for (const call of toolCalls) progress.report(new vscode.LanguageModelToolCallPart(call.id, call.name, call.arguments as object));
      if (text === "" && toolCalls.length === 0) throw new Error("The model answered nothing. Ask again, or in other words.");
    } catch (error) {
      throw this.shown(error, token);
    }
  }

  async provideTokenCount(
    _model: vscode.LanguageModelChatInformation,
    text: string | vscode.LanguageModelChatRequestMessage,
    token: vscode.CancellationToken,
  ): Promise<number> {
    const params = typeof text === "string" ? { text } : { messages: toMessages(text) };
    try {
      return (await this.services.engine.request("count", params, { signal: signalOf(token) })).tokens;
    } catch (error) {
      throw this.shown(error, token);
    }
  }

  dispose(): void {
    this.listening.dispose();
    this.changed.dispose();
  }

  private get calibrated(): boolean {
    const { sets, engine } = this.services;
    return sets.for("chat").calibration(engine.status.model) !== null;
  }

  /** An error as VS Code tells it apart: given up, no model, or a sentence. */
  private shown(error: unknown, token: vscode.CancellationToken): Error {
    const { code, message } = toActError(error);
    if (code === "cancelled" || token.isCancellationRequested) return new vscode.CancellationError();
    if (this.services.engine.modelPath === "") return vscode.LanguageModelError.NotFound(message);
    return new Error(message);
  }
}
