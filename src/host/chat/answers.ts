import { randomUUID } from "node:crypto";
import type * as vscode from "vscode";
import { messagesOf, titleOf, turnsLeftOut } from "../../core/conversation/turns.js";
import type { Answer, Attachment, Conversation, Turn } from "../../protocol/chat.js";
import type { ChatMessage } from "../../protocol/engine.js";
import { toActError } from "../../protocol/errors.js";
import { ask, type ChatServices } from "./ask.js";
import type { Conversations } from "./conversations.js";

/** Questions and their answers: one at a time in each conversation, the others wait in line. */
export class Answers implements vscode.Disposable {
  /** Answers being written, by conversation. */
  private readonly running = new Map<string, AbortController>();
  private readonly listening: vscode.Disposable;

  constructor(
    private readonly services: ChatServices,
    private readonly conversations: Conversations,
    /** Called with every piece of an answer. */
    private readonly grown: () => void,
  ) {
    this.listening = conversations.onDidDelete((id) => this.running.get(id)?.abort());
  }

  isRunning(conversation: Conversation): boolean {
    return this.running.has(conversation.id);
  }

  stop(conversation: Conversation): void {
    this.running.get(conversation.id)?.abort();
  }

  /** Asks what was written, with what is attached; resolves when its answers have ended. Behind a running answer it waits in line. */
  async send(conversation: Conversation, question: string): Promise<void> {
    const { attachments, editing } = conversation;
    conversation.attachments = [];
    conversation.draft = "";
    if (this.isRunning(conversation)) {
      conversation.queue.push({ id: randomUUID(), question, attachments });
      return this.conversations.changed(conversation);
    }
    if (editing) {
      const at = conversation.turns.findIndex(({ id }) => id === editing.turn);
      if (at >= 0) conversation.turns.length = at;
      conversation.draft = editing.draft;
      conversation.attachments = editing.attachments;
      conversation.editing = null;
    }
    await this.ask(conversation, question, attachments);
  }

  /** Asks the first question that waits in line. */
  async next(conversation: Conversation): Promise<void> {
    const next = this.isRunning(conversation) ? undefined : conversation.queue.shift();
    if (next) await this.ask(conversation, next.question, next.attachments);
  }

  unqueue(conversation: Conversation, id: string): void {
    conversation.queue = conversation.queue.filter((one) => one.id !== id);
    this.conversations.changed(conversation);
  }

  /** Answers the last question again. */
  async regenerate(conversation: Conversation, id: string): Promise<void> {
    const turn = conversation.turns.at(-1);
    if (turn?.id === id && !this.isRunning(conversation)) await this.answer(conversation, turn);
  }

  /** Brings a question back into the input box. Until it is sent again, what followed it stays. */
  edit(conversation: Conversation, id: string): boolean {
    const turn = conversation.turns.find((one) => one.id === id);
    if (!turn || this.isRunning(conversation)) return false;
    const { draft, attachments } = conversation.editing ?? conversation;
    conversation.editing = { turn: id, draft, attachments };
    conversation.draft = turn.question;
    conversation.attachments = [...turn.attachments];
    this.conversations.changed(conversation);
    return true;
  }

  /** Gives up editing: what was being written before is back. */
  cancelEdit(conversation: Conversation): boolean {
    const { editing } = conversation;
    if (!editing) return false;
    conversation.draft = editing.draft;
    conversation.attachments = editing.attachments;
    conversation.editing = null;
    this.conversations.changed(conversation);
    return true;
  }

  choose(conversation: Conversation, id: string, index: number): void {
    const turn = conversation.turns.find((one) => one.id === id);
    if (!turn?.answers[index]) return;
    turn.chosen = index;
    this.conversations.changed(conversation);
  }

  dispose(): void {
    for (const abort of this.running.values()) abort.abort();
    this.listening.dispose();
  }

  private async ask(conversation: Conversation, question: string, attachments: Attachment[]): Promise<void> {
    const turn: Turn = { id: randomUUID(), question, attachments, answers: [], chosen: 0, leftOut: 0 };
    conversation.turns.push(turn);
    if (conversation.turns.length === 1 && conversation.title === titleOf({ turns: [] })) conversation.title = titleOf(conversation);
    await this.answer(conversation, turn);
  }

  private async answer(conversation: Conversation, turn: Turn): Promise<void> {
    const abort = new AbortController();
    this.running.set(conversation.id, abort);
    const modes = conversation.act === "compare" ? [false, true] : [conversation.act === "on"];
    turn.answers = modes.map((act) => ({ act, text: "", state: "waiting" }) satisfies Answer);
    turn.chosen = 0;
    turn.leftOut = 0;
    this.conversations.changed(conversation);
    try {
      const messages = messagesOf(conversation.turns.slice(0, conversation.turns.indexOf(turn)), turn);
      await Promise.all(turn.answers.map((answer) => this.stream(conversation, turn, answer, messages, abort.signal)));
    } finally {
      this.running.delete(conversation.id);
      this.conversations.changed(conversation);
      await this.conversations.saveNow(conversation.id);
    }
    // After a failure the line waits: its questions would fail the same way. They are asked by hand, or behind the next answer.
    if (turn.answers.every(({ state }) => state !== "failed")) await this.next(conversation);
  }

  private async stream(
    conversation: Conversation,
    turn: Turn,
    answer: Answer,
    messages: ChatMessage[],
    signal: AbortSignal,
  ): Promise<void> {
    try {
      const side = `${conversation.id} ${answer.act ? "on" : "off"}`;
      const onText = (text: string) => {
        answer.state = "streaming";
        answer.text += text;
        this.grown();
        this.conversations.save(conversation.id);
      };
      const question = { messages, act: answer.act, conversation: side, overflow: "drop-oldest" as const };
      const result = await ask(this.services, question, { signal, onText });
      answer.text = result.text;
      answer.state = "done";
      answer.tokens = result.timings.generatedTokens;
      answer.tokensPerSecond = result.timings.decodeTokensPerSecond;
      turn.leftOut = Math.max(turn.leftOut, turnsLeftOut(result.dropped));
      if (result.stop === "length") answer.note = "The answer was cut at the longest length allowed (setting act.chat.maxTokens).";
      if (result.stop === "context") answer.note = "The answer was cut: the model's context is full.";
      if (result.text.trim() === "") answer.note = "The model answered nothing.";
    } catch (error) {
      const failure = toActError(error);
      answer.state = failure.code === "cancelled" ? "stopped" : "failed";
      answer.note = failure.code === "cancelled" ? "Stopped." : failure.message;
      if (failure.code === "context-overflow") answer.refused = true;
      if (failure.code !== "cancelled") this.services.log.error(`Chat: ${failure.message}`);
    } finally {
      this.grown();
    }
  }
}
