import type * as vscode from "vscode";
import { messagesOf, questionText, turnsLeftOut } from "../../core/conversation/turns.js";
import type { ChatSnapshot, Conversation } from "../../protocol/chat.js";
import { toActError } from "../../protocol/errors.js";
import type { ChatServices } from "./ask.js";
import type { Conversations } from "./conversations.js";

const COUNT_MS = 400;

/**
 * What sending the draft now would take, counted once the user pauses. The engine says what it would leave out, so that nothing is judged twice.
 * Whoever writes a question will want the model: it is loaded meanwhile.
 */
export class DraftCount implements vscode.Disposable {
  count: ChatSnapshot["count"] = null;
  private waiting: NodeJS.Timeout | null = null;

  constructor(
    private readonly services: ChatServices,
    private readonly conversations: Conversations,
    private readonly counted: () => void,
  ) {}

  again(): void {
    if (this.waiting) clearTimeout(this.waiting);
    this.waiting = setTimeout(() => void this.now(), COUNT_MS);
  }

  dispose(): void {
    if (this.waiting) clearTimeout(this.waiting);
  }

  private async now(): Promise<void> {
    const conversation = this.conversations.current;
    const { engine, log } = this.services;
    const wanted = conversation.draft.trim() !== "" || conversation.attachments.length > 0;
    if (!engine.status.model && (!wanted || engine.modelPath === "" || engine.status.phase === "failed")) this.count = null;
    else {
      try {
        const count = await this.countOf(conversation);
        if (conversation !== this.conversations.current) return;
        this.count = count;
      } catch (error) {
        log.debug(`Counting failed: ${toActError(error).message}`);
        this.count = null;
      }
    }
    this.counted();
  }

  private async countOf(conversation: Conversation): Promise<ChatSnapshot["count"]> {
    const { engine, settings } = this.services;
    const { contextSize } = await engine.model();
    for (const attachment of conversation.attachments) {
      const text = questionText({ question: "", attachments: [attachment] });
      attachment.tokens ??= (await engine.request("count", { text })).tokens;
    }
    const { turns, editing, draft, attachments } = conversation;
    const before = editing
      ? turns.slice(
          0,
          turns.findIndex(({ id }) => id === editing.turn),
        )
      : turns;
    const messages = messagesOf(before, { question: draft, attachments });
    const maxTokens = settings.get("chat.maxTokens");
    const { tokens, dropped, fits } = await engine.request("count", { messages, maxTokens, overflow: "drop-oldest" });
    return { prompt: tokens, context: contextSize, leftOut: turnsLeftOut(dropped), fits };
  }
}
