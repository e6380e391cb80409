import { randomUUID } from "node:crypto";
import * as path from "node:path";
import * as vscode from "vscode";
import { messagesOf, questionText, titleOf, turnsLeftOut } from "../../core/conversation/turns.js";
import {
  type ActMode,
  type Answer,
  type ChatToHost,
  ChatToHostSchema,
  type ChatToView,
  ChatToViewSchema,
  type Conversation,
  type Turn,
} from "../../protocol/chat.js";
import type { ChatMessage } from "../../protocol/engine.js";
import { toActError } from "../../protocol/errors.js";
import { ConversationStore } from "../../store/conversations.js";
import type { ActiveSet } from "../calibration/active-sets.js";
import type { Engine } from "../engine/engine.js";
import type { Log } from "../log.js";
import type { Privacy } from "../privacy.js";
import type { Settings } from "../settings.js";
import { describe } from "../status.js";
import { type Connection, connectWebview } from "../webview.js";
import { type Attach, attach } from "./attach.js";
import type { Changes } from "./changes.js";

const PUSH_MS = 50;
const SAVE_MS = 1500;
const COUNT_MS = 400;

interface Running {
  turn: Turn;
  abort: AbortController;
}

/** The chat panel. The host holds the conversations; the view draws snapshots of them. */
export class ChatView implements vscode.WebviewViewProvider, vscode.Disposable {
  private readonly store: ConversationStore;
  private conversations: Conversation[] = [];
  private current: Conversation;
  private readonly ready: Promise<void>;
  private view: vscode.WebviewView | null = null;
  private connection: (Connection<ChatToView> & vscode.Disposable) | null = null;
  /** Answers being written, by conversation. */
  private readonly running = new Map<string, Running>();
  private count: { prompt: number; context: number; leftOut: number } | null = null;
  private pushing: NodeJS.Timeout | null = null;
  private saving = new Map<string, NodeJS.Timeout>();
  private counting: NodeJS.Timeout | null = null;
  private storeProblem: string | null = null;
  private readonly listening: vscode.Disposable;

  constructor(
    private readonly context: vscode.ExtensionContext,
    private readonly engine: Engine,
    private readonly settings: Settings,
    private readonly headSet: ActiveSet,
    private readonly privacy: Privacy,
    private readonly changes: Changes,
    private readonly log: Log,
  ) {
    // A window without a folder has no workspace storage; its conversations are kept with the user's.
    const home = context.storageUri ?? context.globalStorageUri;
    this.store = new ConversationStore(path.join(home.fsPath, "conversations"));
    this.current = newConversation();
    this.ready = this.read();
    this.listening = vscode.Disposable.from(
      engine.onDidChange(() => this.push()),
      headSet.onDidChange(() => this.push()),
      settings.onDidChange(["model.path", "model.contextSize"], () => this.recount()),
      vscode.window.registerWebviewViewProvider("act.chat", this),
      vscode.commands.registerCommand("act.openChat", () => this.reveal()),
      vscode.commands.registerCommand("act.newConversation", async () => {
        this.start();
        await this.reveal();
      }),
      vscode.commands.registerCommand("act.attachSelection", () => this.attachAndReveal("selection")),
      vscode.commands.registerCommand("act.attachFile", () => this.attachAndReveal("open-file")),
    );
  }

  /** The conversation on screen, for tests and the sink panel. */
  get conversation(): Conversation {
    return this.current;
  }

  /** The messages of the prompt that the last answer on screen was given to; null where there is none. */
  lastPrompt(): ChatMessage[] | null {
    const last = this.current.turns.at(-1);
    return last ? messagesOf(this.current.turns.slice(last.leftOut, -1), last) : null;
  }

  resolveWebviewView(view: vscode.WebviewView): void {
    this.view = view;
    this.connection = connectWebview(view.webview, {
      extension: this.context.extensionUri,
      view: "chat",
      title: "ACT Chat",
      fromView: ChatToHostSchema,
      toView: ChatToViewSchema,
      log: this.log,
      onMessage: (message) => this.receive(message),
    });
    view.onDidChangeVisibility(() => this.push());
    view.onDidDispose(() => {
      this.connection?.dispose();
      this.connection = null;
      this.view = null;
    });
  }

  async receive(message: ChatToHost): Promise<void> {
    await this.ready;
    switch (message.type) {
      case "ready":
        this.recount();
        return this.pushNow();
      case "draft":
        return this.setDraft(message.conversation, message.text);
      case "send":
        return await this.send(message.text);
      case "stop":
        return this.running.get(this.current.id)?.abort.abort();
      case "regenerate":
        return await this.regenerate(message.turn);
      case "edit":
        return this.edit(message.turn);
      case "choose":
        return this.choose(message.turn, message.answer);
      case "copy":
        return await vscode.env.clipboard.writeText(message.text);
      case "insert":
        return await this.changes.insert(message.text);
      case "apply":
        return await this.changes.propose(message.text);
      case "attach":
        return await this.attach(message.kind);
      case "detach":
        this.current.attachments = this.current.attachments.filter((a) => a.id !== message.attachment);
        return this.changed();
      case "act":
        this.current.act = message.mode;
        return this.changed();
      case "new":
        return this.start();
      case "open":
        return this.open(message.conversation);
      case "delete":
        return await this.delete(message.conversation);
      case "sinks":
        return this.showSinks(message.turn, message.answer);
      case "command":
        return void vscode.commands.executeCommand(message.command);
    }
  }

  dispose(): void {
    for (const { abort } of this.running.values()) abort.abort();
    if (this.pushing) clearTimeout(this.pushing);
    if (this.counting) clearTimeout(this.counting);
    for (const timer of this.saving.values()) clearTimeout(timer);
    this.listening.dispose();
    this.connection?.dispose();
  }

  /** Writes what is not on disk yet. */
  async flush(): Promise<void> {
    await Promise.all([...this.saving.keys()].map((id) => this.saveNow(id)));
  }

  /** Puts the question with what is attached into the conversation and lets the model answer it. Resolves when the answers have ended. */
  async send(question: string): Promise<void> {
    const conversation = this.current;
    if (this.running.has(conversation.id)) return;
    const turn: Turn = { id: randomUUID(), question, attachments: conversation.attachments, answers: [], chosen: 0, leftOut: 0 };
    conversation.turns.push(turn);
    conversation.attachments = [];
    conversation.draft = "";
    if (conversation.turns.length === 1) conversation.title = titleOf(conversation);
    await this.answer(conversation, turn);
  }

  private async regenerate(id: string): Promise<void> {
    const conversation = this.current;
    const at = conversation.turns.findIndex((turn) => turn.id === id);
    const turn = conversation.turns[at];
    if (!turn || this.running.has(conversation.id)) return;
    // What followed was said about the old answer.
    conversation.turns.length = at + 1;
    await this.answer(conversation, turn);
  }

  private edit(id: string): void {
    const conversation = this.current;
    const at = conversation.turns.findIndex((turn) => turn.id === id);
    const turn = conversation.turns[at];
    if (!turn || this.running.has(conversation.id)) return;
    conversation.turns.length = at;
    conversation.attachments = turn.attachments;
    conversation.draft = turn.question;
    this.changed();
    this.connection?.push({ type: "draft", text: turn.question });
  }

  private async answer(conversation: Conversation, turn: Turn): Promise<void> {
    const abort = new AbortController();
    this.running.set(conversation.id, { turn, abort });
    const modes = conversation.act === "compare" ? [false, true] : [conversation.act === "on"];
    turn.answers = modes.map((act) => ({ act, text: "", state: "waiting" }) satisfies Answer);
    turn.chosen = 0;
    this.changed();
    try {
      const before = conversation.turns.slice(0, conversation.turns.indexOf(turn));
      const messages = messagesOf(before, turn);
      await Promise.all(turn.answers.map((answer) => this.stream(conversation, turn, answer, messages, abort.signal)));
    } finally {
      this.running.delete(conversation.id);
      this.changed();
      await this.saveNow(conversation.id);
    }
  }

  private async stream(
    conversation: Conversation,
    turn: Turn,
    answer: Answer,
    messages: ChatMessage[],
    signal: AbortSignal,
  ): Promise<void> {
    try {
      await this.headSet.ready();
      const model = await this.engine.model(signal);
      const unavailable = answer.act ? this.headSet.unavailable(model) : null;
      if (unavailable) {
        answer.state = "failed";
        answer.note = unavailable;
        return;
      }
      const result = await this.engine.request(
        "chat",
        {
          messages,
          maxTokens: this.settings.get("chat.maxTokens"),
          temperature: this.settings.get("chat.temperature"),
          calibration: answer.act ? this.headSet.calibration(model) : null,
          conversation: `${conversation.id} ${answer.act ? "on" : "off"}`,
          overflow: "drop-oldest",
        },
        {
          signal,
          onProgress: ({ text }) => {
            answer.state = "streaming";
            answer.text += text;
            this.push();
            this.save(conversation.id);
          },
        },
      );
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
      if (failure.code !== "cancelled") this.log.error(`Chat: ${failure.message}`);
    } finally {
      this.push();
    }
  }

  private choose(id: string, index: number): void {
    const turn = this.current.turns.find((one) => one.id === id);
    if (!turn?.answers[index]) return;
    turn.chosen = index;
    this.changed();
  }

  private showSinks(id: string, index: number): void {
    const at = this.current.turns.findIndex((one) => one.id === id);
    const turn = this.current.turns[at];
    if (!turn) return;
    const messages = messagesOf(this.current.turns.slice(turn.leftOut, at), turn);
    void vscode.commands.executeCommand("act.showSinks", { messages, act: turn.answers[index]?.act ?? false });
  }

  private async attach(kind: Attach): Promise<void> {
    const conversation = this.current;
    const attached = await attach(kind, this.privacy);
    if (!attached) return;
    conversation.attachments = [...conversation.attachments.filter((a) => a.label !== attached.label), attached];
    this.changed();
  }

  private async attachAndReveal(kind: Attach): Promise<void> {
    await this.ready;
    await this.attach(kind);
    await this.reveal();
  }

  private async reveal(): Promise<void> {
    await vscode.commands.executeCommand("act.chat.focus");
    this.connection?.push({ type: "focus" });
  }

  private start(): void {
    if (this.current.turns.length > 0 || this.current.draft !== "") {
      this.current = { ...newConversation(), act: this.current.act };
      this.conversations.unshift(this.current);
    }
    this.recount();
    this.push();
  }

  private open(id: string): void {
    const found = this.conversations.find((c) => c.id === id);
    if (found) this.current = found;
    this.recount();
    this.push();
  }

  private async delete(id: string): Promise<void> {
    const conversation = this.conversations.find((c) => c.id === id);
    if (!conversation) return;
    if (conversation.turns.length > 0) {
      const yes = "Delete";
      const answer = await vscode.window.showWarningMessage(`Delete the conversation "${conversation.title}"?`, { modal: true }, yes);
      if (answer !== yes) return;
    }
    this.running.get(id)?.abort.abort();
    const timer = this.saving.get(id);
    if (timer) clearTimeout(timer);
    this.saving.delete(id);
    this.conversations = this.conversations.filter((c) => c.id !== id);
    await this.store.delete(id);
    if (this.current.id === id) {
      this.current = this.conversations[0] ?? newConversation();
      if (this.conversations.length === 0) this.conversations.push(this.current);
    }
    this.recount();
    this.push();
  }

  private setDraft(id: string, text: string): void {
    const conversation = this.conversations.find((c) => c.id === id);
    if (!conversation) return;
    conversation.draft = text;
    this.save(id);
    this.recount();
  }

  private async read(): Promise<void> {
    const { conversations, damaged } = await this.store.list();
    if (damaged.length > 0)
      this.log.warn(`These conversations cannot be read and were left as they are in ${this.store.folder}: ${damaged.join(", ")}`);
    this.conversations = conversations;
    if (conversations[0]) this.current = conversations[0];
    else this.conversations.push(this.current);
  }

  /** Something of the current conversation is different: shown, counted and saved soon. */
  private changed(): void {
    this.current.updated = Date.now();
    this.push();
    this.recount();
    this.save(this.current.id);
  }

  private save(id: string): void {
    if (this.saving.has(id)) return;
    this.saving.set(
      id,
      setTimeout(() => void this.saveNow(id), SAVE_MS),
    );
  }

  private async saveNow(id: string): Promise<void> {
    const timer = this.saving.get(id);
    if (timer) clearTimeout(timer);
    this.saving.delete(id);
    const conversation = this.conversations.find((c) => c.id === id);
    if (!conversation || (conversation.turns.length === 0 && conversation.draft === "")) return;
    try {
      await this.store.save(conversation);
      this.storeProblem = null;
    } catch (error) {
      const said = `The conversation could not be saved: ${toActError(error).message}`;
      if (this.storeProblem !== said) this.log.error(said);
      this.storeProblem = said;
      this.push();
    }
  }

  /** Counts what sending the draft now would take, once the user pauses. Whoever writes a question will want the model: it is loaded meanwhile. */
  private recount(): void {
    if (this.counting) clearTimeout(this.counting);
    this.counting = setTimeout(() => void this.countNow(), COUNT_MS);
  }

  private async countNow(): Promise<void> {
    const conversation = this.current;
    const wanted = conversation.draft.trim() !== "" || conversation.attachments.length > 0;
    if (!this.engine.status.model && (!wanted || this.engine.modelPath === "" || this.engine.status.phase === "failed")) {
      this.count = null;
      return this.push();
    }
    try {
      const model = await this.engine.model();
      for (const attachment of conversation.attachments) {
        attachment.tokens ??= (
          await this.engine.request("count", { text: questionText({ question: "", attachments: [attachment] }) })
        ).tokens;
      }
      const context = model.contextSize;
      const reserve = Math.min(this.settings.get("chat.maxTokens"), Math.floor(context / 4));
      let leftOut = 0;
      let prompt: number;
      for (;;) {
        const messages = messagesOf(conversation.turns.slice(leftOut), {
          question: conversation.draft,
          attachments: conversation.attachments,
        });
        prompt = (await this.engine.request("count", { messages })).tokens;
        if (prompt + reserve <= context || leftOut >= conversation.turns.length) break;
        leftOut++;
      }
      if (conversation !== this.current) return;
      this.count = { prompt, context, leftOut };
    } catch (error) {
      this.log.debug(`Counting failed: ${toActError(error).message}`);
      this.count = null;
    }
    this.push();
  }

  /** Pushes a snapshot soon: many changes, few messages. */
  private push(): void {
    this.pushing ??= setTimeout(() => this.pushNow(), PUSH_MS);
  }

  private pushNow(): void {
    if (this.pushing) clearTimeout(this.pushing);
    this.pushing = null;
    if (!this.connection || !this.view?.visible) return;
    const status = this.engine.status;
    this.connection.push({
      type: "snapshot",
      conversation: this.current,
      conversations: this.conversations.map(({ id, title, updated }) => ({ id, title, updated })),
      model: this.engine.modelName,
      status: describe(status),
      problem: status.problem ?? this.storeProblem,
      actUnavailable: this.headSet.unavailable(status.model),
      count: this.count,
    });
  }
}

function newConversation(): Conversation {
  const now = Date.now();
  const act: ActMode = "off";
  return { schema: 1, id: randomUUID(), title: "New conversation", created: now, updated: now, act, turns: [], draft: "", attachments: [] };
}
