import * as v from "valibot";
import * as vscode from "vscode";
import type { Use } from "../../protocol/calibration.js";
import type { ChatMessage, SinksParams } from "../../protocol/engine.js";
import { ActError } from "../../protocol/errors.js";
import type { SinkPanelState, SinkSource } from "../../protocol/sink-panel.js";
import { shownPath } from "../completions/pauses.js";
import type { Services } from "../services.js";
import type { SourceText } from "./decorations.js";

/** For a text of no known use. */
const ANY: readonly Use[] = ["task", "completions", "chat"];

/** What the engine is asked for, and where the prompt came from. */
export interface Prompt {
  label: string;
  params: Omit<SinksParams, "calibration" | "threshold">;
  /** Uses whose head set is shown beside it: that of the first one that has one. */
  uses: readonly Use[];
  origin: SourceText | null;
}

/** What the chat hands over with its link: the messages of one of its prompts. */
const ChatPromptSchema = v.object({
  messages: v.pipe(v.array(v.looseObject({ role: v.string(), content: v.string() })), v.minLength(1)),
  act: v.boolean(),
});

/** The prompts whose sinks can be shown: the last completion's, a chat turn's, a selection, one that was typed. */
export class SinkPrompts {
  private fromChat: Prompt | null = null;

  constructor(private readonly services: Services) {}

  /** Takes over a prompt that the chat hands over with its link. @returns false where the argument is something else */
  takeChat(argument: unknown): boolean {
    const chat = v.safeParse(ChatPromptSchema, argument);
    if (!chat.success) return false;
    this.fromChat = {
      label: "Chat prompt",
      params: { messages: chat.output.messages as ChatMessage[] },
      uses: chat.output.act ? ["chat"] : [],
      origin: null,
    };
    return true;
  }

  /** @throws ActError `usage` where there is no such prompt */
  of(source: SinkSource): Prompt {
    const { completions, chat, record } = this.services;
    switch (source.kind) {
      case "completion": {
        const last = completions.lastPrompt;
        if (!last)
          throw new ActError("usage", "There is no completion yet. Type in a file until a ghost text appears, or choose another prompt.");
        const entry = [...record.all].reverse().find(({ file }) => file === last.path);
        const { calibration: _, ...infill } = last;
        return {
          label: `Last completion in ${last.path ?? "the editor"}${entry ? `, line ${entry.line + 1}` : ""}`,
          params: { infill },
          uses: ["completions"],
          origin: originOfPrefix(last.path, last.prefix),
        };
      }
      case "chat": {
        if (this.fromChat) return this.fromChat;
        const messages = chat.lastPrompt();
        if (!messages) throw new ActError("usage", "The chat has no turn yet. Ask it something, or choose another prompt.");
        return { label: "Last chat turn", params: { messages }, uses: ["chat"], origin: null };
      }
      case "selection": {
        const editor = vscode.window.activeTextEditor ?? vscode.window.visibleTextEditors.find(({ selection }) => !selection.isEmpty);
        if (!editor || editor.selection.isEmpty)
          throw new ActError("usage", "Nothing is selected. Select some text in an editor, or choose another prompt.");
        const { document, selection } = editor;
        const text = document.getText(selection);
        const file = vscode.workspace.asRelativePath(document.uri);
        return {
          label: `Selection in ${file}, lines ${selection.start.line + 1} to ${selection.end.line + 1}`,
          params: { prompt: text },
          uses: ANY,
          origin: { document: document.uri, offset: document.offsetAt(selection.start), text },
        };
      }
      case "typed":
        if (source.text === "") throw new ActError("usage", "The prompt is empty. Type one, or choose another.");
        return { label: "Typed prompt", params: { prompt: source.text }, uses: ANY, origin: null };
    }
  }

  /** Which kinds of prompt there are now. */
  available(): SinkPanelState["available"] {
    return {
      completion: this.services.completions.lastPrompt !== null,
      chat: this.fromChat !== null || this.services.chat.lastPrompt() !== null,
      selection: vscode.window.visibleTextEditors.some(({ selection }) => !selection.isEmpty),
    };
  }
}

/** The open document that a completion's prefix stands in, up to the cursor. */
function originOfPrefix(file: string | undefined, prefix: string): SourceText | null {
  if (file === undefined || prefix === "") return null;
  const document = vscode.workspace.textDocuments.find(({ uri }) => shownPath(uri) === file);
  const offset = document?.getText().indexOf(prefix) ?? -1;
  return document && offset >= 0 ? { document: document.uri, offset, text: prefix } : null;
}
