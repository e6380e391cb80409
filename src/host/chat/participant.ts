import * as vscode from "vscode";
import { attachmentText } from "../../core/conversation/turns.js";
import type { ChatMessage } from "../../protocol/engine.js";
import { toActError } from "../../protocol/errors.js";
import type { ActiveSet } from "../calibration/active-sets.js";
import { shownPath } from "../completions/pauses.js";
import { type Engine, signalOf } from "../engine/engine.js";
import type { Privacy } from "../privacy.js";
import type { Settings } from "../settings.js";

/** `@act` in VS Code's chat: answered by the local model whatever model is selected there. */
export function registerParticipant(
  context: vscode.ExtensionContext,
  engine: Engine,
  settings: Settings,
  headSet: ActiveSet,
  privacy: Privacy,
): vscode.Disposable {
  const participant = vscode.chat.createChatParticipant("act.participant", async (request, chat, response, token) => {
    try {
      const signal = signalOf(token);
      await headSet.ready();
      response.progress("Asking the model on this machine");
      const model = await engine.model(signal);
      const attached = await references(request.references, privacy, response);
      const messages = [...history(chat.history), { role: "user" as const, content: [...attached, request.prompt].join("\n\n") }];
      const result = await engine.request(
        "chat",
        {
          messages,
          maxTokens: settings.get("chat.maxTokens"),
          temperature: settings.get("chat.temperature"),
          calibration: headSet.calibration(model),
          conversation: "participant",
          overflow: "drop-oldest",
        },
        { signal, onProgress: ({ text }) => response.markdown(text) },
      );
      if (result.dropped.length > 0)
        response.markdown(
          `\n\n*The oldest ${result.dropped.length} messages were left out: the conversation no longer fits the model's context.*`,
        );
      return { metadata: { tokens: result.timings.generatedTokens } };
    } catch (error) {
      const failure = toActError(error);
      if (failure.code === "cancelled") return {};
      if (engine.modelPath === "") response.button({ command: "act.chooseModel", title: "Choose a Model" });
      return { errorDetails: { message: failure.message } };
    }
  });
  participant.iconPath = vscode.Uri.joinPath(context.extensionUri, "media", "icon.png");
  return participant;
}

function history(turns: vscode.ChatContext["history"]): ChatMessage[] {
  return turns.map((turn) => {
    if (turn instanceof vscode.ChatRequestTurn) return { role: "user", content: turn.prompt };
    const parts = turn.response.map((part) => (part instanceof vscode.ChatResponseMarkdownPart ? part.value.value : ""));
    return { role: "assistant", content: parts.join("") };
  });
}

/** Files and selections that the user added to the question; what may not enter a prompt is named and left out. */
async function references(
  added: readonly vscode.ChatPromptReference[],
  privacy: Privacy,
  response: vscode.ChatResponseStream,
): Promise<string[]> {
  const texts: string[] = [];
  for (const { value } of added) {
    if (typeof value === "string") texts.push(value);
    const uri = value instanceof vscode.Uri ? value : value instanceof vscode.Location ? value.uri : null;
    if (!uri) continue;
    const refused = await privacy.reason(uri);
    if (refused) {
      response.markdown(`*${shownPath(uri)} was left out: ${refused}*\n\n`);
      continue;
    }
    const document = await vscode.workspace.openTextDocument(uri);
    const text = document.getText(value instanceof vscode.Location ? value.range : undefined);
    texts.push(attachmentText({ kind: "file", label: shownPath(uri), languageId: document.languageId, text }));
    response.reference(uri);
  }
  return texts;
}
