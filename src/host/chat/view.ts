import * as vscode from "vscode";
import { promptOf } from "../../core/conversation/turns.js";
import { type ChatToHost, ChatToHostSchema, type ChatToView, ChatToViewSchema, type Conversation } from "../../protocol/chat.js";
import type { ChatMessage } from "../../protocol/engine.js";
import { registerCommand, runCommand } from "../commands.js";
import { describe } from "../status.js";
import { type Connection, connectWebview } from "../webview.js";
import { Answers } from "./answers.js";
import type { ChatServices } from "./ask.js";
import { attach, attachFile, Refusal } from "./attach.js";
import type { Changes } from "./changes.js";
import { Conversations } from "./conversations.js";
import { DraftCount } from "./counting.js";
import { remove, rename, showHistory } from "./history.js";
import { Suggestions } from "./suggest.js";

const PUSH_MS = 50;
/** Of the time, at most a tenth goes into snapshots: those of long conversations come less often. */
const PUSH_SHARE = 10;

/** The chat panel. The host holds the conversations; the view draws snapshots of them. */
export class ChatView implements vscode.WebviewViewProvider, vscode.Disposable {
  private readonly conversations: Conversations;
  private readonly answers: Answers;
  private readonly draft: DraftCount;
  private readonly suggestions: Suggestions;
  private view: vscode.WebviewView | null = null;
  private connection: (Connection<ChatToView> & vscode.Disposable) | null = null;
  private pushing: NodeJS.Timeout | null = null;
  private pushMs = PUSH_MS;
  private readonly listening: vscode.Disposable;

  constructor(
    private readonly services: ChatServices,
    private readonly changes: Changes,
  ) {
    const push = () => this.push();
    this.conversations = new Conversations(services);
    this.answers = new Answers(services, this.conversations, push);
    this.draft = new DraftCount(services, this.conversations, push);
    this.suggestions = new Suggestions(services);
    this.listening = vscode.Disposable.from(
      this.conversations.onDidChange(() => {
        this.push();
        this.draft.again();
      }),
      services.engine.onDidChange(push),
      services.sets.onDidChange(push),
      changes.onDidChangeShown(push),
      services.settings.onDidChange(["model.path", "model.contextSize"], () => this.draft.again()),
      vscode.window.registerWebviewViewProvider("act.chat", this),
      registerCommand("act.openChat", () => this.reveal()),
      registerCommand("act.newConversation", async () => {
        this.conversations.start();
        await this.reveal();
      }),
      registerCommand("act.showConversations", () => showHistory(this.conversations)),
      registerCommand("act.attachSelection", () => this.attachAndReveal("selection")),
      registerCommand("act.attachFile", () => this.attachAndReveal("open-file")),
    );
  }

  /** The conversation on screen, for tests and the sink panel. */
  get conversation(): Conversation {
    return this.conversations.current;
  }

  /** The messages of the prompt that the last answer on screen was given to; null where there is none. */
  lastPrompt(): ChatMessage[] | null {
    const { turns } = this.conversation;
    const last = turns.at(-1);
    return last ? promptOf(turns, last) : null;
  }

  resolveWebviewView(view: vscode.WebviewView): void {
    this.view = view;
    this.connection = connectWebview(view.webview, {
      extension: this.services.context.extensionUri,
      view: "chat",
      title: "ACT Chat",
      fromView: ChatToHostSchema,
      toView: ChatToViewSchema,
      log: this.services.log,
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
    const { conversations, answers, changes } = this;
    await conversations.ready;
    const { current } = conversations;
    switch (message.type) {
      case "ready":
        this.draft.again();
        return this.pushNow();
      case "draft":
        return this.setDraft(message.conversation, message.text);
      case "send":
        return await this.showDraftAfter(answers.send(current, message.text));
      case "stop":
        return answers.stop(current);
      case "ask-next":
        return await answers.next(current);
      case "unqueue":
        return answers.unqueue(current, message.question);
      case "regenerate":
        return await answers.regenerate(current, message.turn);
      case "edit":
        if (answers.edit(current, message.turn)) this.showDraft();
        return;
      case "cancel-edit":
        if (answers.cancelEdit(current)) this.showDraft();
        return;
      case "choose":
        return answers.choose(current, message.turn, message.answer);
      case "copy":
        return await vscode.env.clipboard.writeText(message.text);
      case "insert":
        return await changes.insert(message.text);
      case "apply":
        return await changes.propose(message.text);
      case "accept":
        return await changes.accept();
      case "discard":
        return await changes.discard();
      case "attach":
        return await this.attach(message.kind);
      case "suggest":
        return this.connection?.push({ type: "suggestions", query: message.query, items: await this.suggestions.find(message.query) });
      case "pick":
        return void (await this.add(() => this.suggestions.take(message.item)));
      case "detach":
        current.attachments = current.attachments.filter((a) => a.id !== message.attachment);
        return conversations.changed();
      case "act":
        current.act = message.mode;
        return conversations.changed();
      case "new":
        return conversations.start();
      case "open":
        return conversations.open(message.conversation);
      case "conversations":
        return showHistory(conversations);
      case "rename":
        return await rename(conversations, message.conversation);
      case "delete":
        return await remove(conversations, message.conversation);
      case "sinks":
        return this.showSinks(message.turn, message.answer);
      case "command":
        return void runCommand(message.command);
    }
  }

  dispose(): void {
    if (this.pushing) clearTimeout(this.pushing);
    this.draft.dispose();
    this.answers.dispose();
    this.conversations.dispose();
    this.listening.dispose();
    this.connection?.dispose();
  }

  /** Writes what is not on disk yet. */
  async flush(): Promise<void> {
    await this.conversations.flush();
  }

  /** Asks something about part of a file, in a conversation of its own. */
  async askAbout(question: string, attachment: () => Promise<Conversation["attachments"][0]>): Promise<void> {
    await this.conversations.ready;
    this.conversations.start();
    if (!(await this.add(attachment))) return;
    await this.reveal();
    await this.answers.send(this.conversation, question);
  }

  private setDraft(id: string, text: string): void {
    const conversation = this.conversations.find(id);
    if (!conversation) return;
    conversation.draft = text;
    this.conversations.save(id);
    this.draft.again();
  }

  /** What was being written before an edit is back in the input box once the edit is sent. */
  private async showDraftAfter(sending: Promise<void>): Promise<void> {
    if (this.conversation.draft !== "") this.showDraft();
    await sending;
  }

  private showDraft(): void {
    this.connection?.push({ type: "draft", text: this.conversation.draft });
  }

  private showSinks(id: string, index: number): void {
    const { turns } = this.conversation;
    const turn = turns.find((one) => one.id === id);
    if (turn) void runCommand("act.showSinks", { messages: promptOf(turns, turn), act: turn.answers[index]?.act ?? false });
  }

  private async attach(kind: Extract<ChatToHost, { type: "attach" }>["kind"]): Promise<void> {
    const { privacy } = this.services;
    if (kind !== "file") return void (await this.add(() => attach(kind, privacy)));
    const items = await this.suggestions.files();
    if (items.length === 0) return void vscode.window.showWarningMessage("There is no folder open to choose a file from.");
    const chosen = await vscode.window.showQuickPick(items, { title: "Add a file to the question" });
    if (chosen && (await this.add(() => attachFile(chosen.uri, privacy)))) await this.suggestions.used(chosen.uri.toString());
  }

  /** Adds something to the question being written, or says why not. */
  private async add(make: () => Promise<Conversation["attachments"][0]>): Promise<boolean> {
    const { current } = this.conversations;
    try {
      const attached = await make();
      current.attachments = [...current.attachments.filter((a) => a.label !== attached.label), attached];
      this.conversations.changed(current);
      return true;
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      void vscode.window.showWarningMessage(error.message);
      return false;
    }
  }

  private async attachAndReveal(kind: "selection" | "open-file"): Promise<void> {
    await this.conversations.ready;
    await this.attach(kind);
    await this.reveal();
  }

  private async reveal(): Promise<void> {
    await vscode.commands.executeCommand("act.chat.focus");
    this.connection?.push({ type: "focus" });
  }

  /** Pushes a snapshot soon: many changes, few messages. */
  private push(): void {
    this.pushing ??= setTimeout(() => this.pushNow(), this.pushMs);
  }

  private pushNow(): void {
    if (this.pushing) clearTimeout(this.pushing);
    this.pushing = null;
    if (!this.connection || !this.view?.visible) return;
    const began = performance.now();
    const { engine, sets } = this.services;
    const { status } = engine;
    const { current, list, problem } = this.conversations;
    this.connection.push({
      type: "snapshot",
      conversation: current,
      conversations: list.map(({ id, title, updated }) => ({ id, title, updated })),
      model: engine.modelName,
      status: describe(status),
      problem: status.problem ?? problem,
      actUnavailable: sets.for("chat").unavailable(status.model),
      count: this.draft.count,
      change: this.changes.shown,
    });
    this.pushMs = Math.max(PUSH_MS, PUSH_SHARE * (performance.now() - began));
  }
}
