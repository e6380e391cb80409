import * as vscode from "vscode";
import { attachmentText } from "../../core/conversation/turns.js";
import type { ChatMessage } from "../../protocol/engine.js";
import { toActError } from "../../protocol/errors.js";
import { shownPath } from "../completions/pauses.js";
import { signalOf } from "../engine/engine.js";
import { ask, type ChatServices } from "./ask.js";
import { toolDefinition, toolResult } from "./messages.js";

/** How often the model may call tools for one question. */
const MOST_ROUNDS = 8;

/** `@act` in VS Code's chat: answered by the local model whatever model is selected there, with the tools that were added to the question. */
export function registerParticipant(services: ChatServices): vscode.Disposable {
  const participant = vscode.chat.createChatParticipant("act.participant", async (request, chat, response, token) => {
    try {
      const signal = signalOf(token);
      response.progress("Asking the model on this machine");
      const attached = await references(request.references, services, response);
      const messages: ChatMessage[] = [...history(chat.history), { role: "user", content: [...attached, request.prompt].join("\n\n") }];
      const model = await services.engine.model(signal);
      const named = new Set(request.toolReferences.map(({ name }) => name));
      const tools = model.tools ? vscode.lm.tools.filter(({ name }) => named.has(name)).map(toolDefinition) : [];
      const left = new Set<number>();
      let tokens = 0;
      for (let round = 0; ; round++) {
        const result = await ask(
          services,
          {
            messages,
            ...(tools.length > 0 && round < MOST_ROUNDS && { tools }),
            conversation: "participant",
            overflow: "drop-oldest",
            act: "as switched",
          },
          { signal, onText: (text) => response.markdown(text) },
        );
        tokens += result.timings.generatedTokens;
        for (const index of result.dropped) left.add(index);
        if (result.toolCalls.length === 0) break;
        messages.push({ role: "assistant", content: result.text, toolCalls: result.toolCalls });
        const results = await Promise.all(
          result.toolCalls.map(async ({ id, name, arguments: input }): Promise<ChatMessage> => {
            response.progress(`Running ${name}`);
            const options = { input: input as object, toolInvocationToken: request.toolInvocationToken };
            const content = await vscode.lm.invokeTool(name, options, token).then(toolResult, (error: Error) => {
              if (token.isCancellationRequested) throw error;
              return `The tool failed: ${error.message}`;
            });
            return { role: "tool", content, toolCallId: id };
          }),
        );
        messages.push(...results);
      }
      if (left.size > 0)
        response.markdown(`\n\n*The oldest ${left.size} messages were left out: the conversation no longer fits the model's context.*`);
      return { metadata: { tokens } };
    } catch (error) {
      const failure = toActError(error);
      if (failure.code === "cancelled" || token.isCancellationRequested) return {};
      if (services.engine.modelPath === "") response.button({ command: "act.chooseModel", title: "Choose a Model" });
      return { errorDetails: { message: failure.message } };
    }
  });
  participant.iconPath = vscode.Uri.joinPath(services.context.extensionUri, "media", "icon.png");
  return participant;
}

function history(turns: vscode.ChatContext["history"]): ChatMessage[] {
  return turns.map((turn) => {
    if (turn instanceof vscode.ChatRequestTurn) return { role: "user", content: turn.prompt };
    const parts = turn.response.map((part) => (part instanceof vscode.ChatResponseMarkdownPart ? part.value.value : ""));
    return { role: "assistant", content: parts.join("") };
  });
}

/** Files and selections that the user added to the question; what may not enter a prompt, or cannot be read, is named and left out. */
async function references(
  added: readonly vscode.ChatPromptReference[],
  { privacy }: ChatServices,
  response: vscode.ChatResponseStream,
): Promise<string[]> {
  const texts: string[] = [];
  for (const { value } of added) {
    if (typeof value === "string") texts.push(value);
    const uri = value instanceof vscode.Uri ? value : value instanceof vscode.Location ? value.uri : null;
    if (!uri) continue;
    const refused = await privacy.reason(uri);
    const document = refused ? null : await vscode.workspace.openTextDocument(uri).then(undefined, () => null);
    if (!document) {
      response.markdown(`*${shownPath(uri)} was left out: ${refused ?? "It cannot be read as text."}*\n\n`);
      continue;
    }
    const text = document.getText(value instanceof vscode.Location ? value.range : undefined);
    texts.push(attachmentText({ kind: "file", label: shownPath(uri), languageId: document.languageId, text }));
    response.reference(uri);
  }
  return texts;
}
