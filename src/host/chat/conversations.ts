import { randomUUID } from "node:crypto";
import * as path from "node:path";
import * as vscode from "vscode";
import { titleOf } from "../../core/conversation/turns.js";
import type { Conversation } from "../../protocol/chat.js";
import { toActError } from "../../protocol/errors.js";
import { ConversationStore } from "../../store/conversations.js";
import type { ChatServices } from "./ask.js";

const SAVE_MS = 1500;

/** The conversations of this workspace: which there are, which is on screen, and that each is on disk soon after it changed. */
export class Conversations implements vscode.Disposable {
  readonly ready: Promise<void>;
  current: Conversation = newConversation();
  /** Why the last one could not be saved, in a sentence. */
  problem: string | null = null;
  private all: Conversation[] = [];
  private readonly store: ConversationStore;
  private readonly saving = new Map<string, NodeJS.Timeout>();
  private readonly change = new vscode.EventEmitter<void>();
  private readonly removal = new vscode.EventEmitter<string>();
  readonly onDidChange = this.change.event;
  readonly onDidDelete = this.removal.event;
  private readonly listening: vscode.Disposable;

  constructor(private readonly services: Pick<ChatServices, "context" | "log">) {
    // A window without a folder has no workspace storage; its conversations are kept with the user's.
    const { storageUri, globalStorageUri } = services.context;
    this.store = new ConversationStore(path.join((storageUri ?? globalStorageUri).fsPath, "conversations"));
    this.ready = this.read();
    // Another window may have written to them.
    this.listening = vscode.window.onDidChangeWindowState(({ focused }) => {
      if (focused) void this.refresh();
    });
  }

  /** Newest first. */
  get list(): readonly Conversation[] {
    return this.all;
  }

  find(id: string): Conversation | undefined {
    return this.all.find((one) => one.id === id);
  }

  /** Something of a conversation is different: shown, and saved soon. */
  changed(conversation = this.current): void {
    conversation.updated = Date.now();
    this.change.fire();
    this.save(conversation.id);
  }

  start(): void {
    if (this.current.turns.length === 0 && this.current.draft === "") return;
    this.current = { ...newConversation(), act: this.current.act };
    this.all.unshift(this.current);
    this.change.fire();
  }

  open(id: string): void {
    this.current = this.find(id) ?? this.current;
    this.change.fire();
  }

  rename(id: string, title: string): void {
    const conversation = this.find(id);
    if (!conversation) return;
    conversation.title = title.trim() === "" ? titleOf(conversation) : title.trim();
    this.changed(conversation);
  }

  async delete(id: string): Promise<void> {
    const timer = this.saving.get(id);
    if (timer) clearTimeout(timer);
    this.saving.delete(id);
    this.remove(id);
    this.removal.fire(id);
    await this.store.delete(id);
  }

  /** Writes it within a second or two. */
  save(id: string): void {
    if (this.saving.has(id)) return;
    this.saving.set(
      id,
      setTimeout(() => void this.saveNow(id), SAVE_MS),
    );
  }

  async saveNow(id: string): Promise<void> {
    const timer = this.saving.get(id);
    if (timer) clearTimeout(timer);
    this.saving.delete(id);
    const conversation = this.find(id);
    if (!conversation || (conversation.turns.length === 0 && conversation.draft === "")) return;
    try {
      const turns = conversation.turns.length;
      if (!(await this.store.save(conversation))) this.remove(id);
      else if (conversation.turns.length !== turns) this.change.fire();
      this.problem = null;
    } catch (error) {
      const said = `The conversation could not be saved: ${toActError(error).message}`;
      if (this.problem !== said) this.services.log.error(said);
      this.problem = said;
      this.change.fire();
    }
  }

  /** Writes what is not on disk yet. */
  async flush(): Promise<void> {
    await Promise.all([...this.saving.keys()].map((id) => this.saveNow(id)));
  }

  dispose(): void {
    for (const timer of this.saving.values()) clearTimeout(timer);
    this.listening.dispose();
    this.change.dispose();
    this.removal.dispose();
  }

  private async refresh(): Promise<void> {
    await this.ready;
    const { added, gone } = await this.store.refresh(this.all);
    for (const id of gone) this.remove(id);
    this.all.push(...added);
    this.all.sort((a, b) => b.updated - a.updated);
    this.change.fire();
  }

  private remove(id: string): void {
    this.all = this.all.filter((one) => one.id !== id);
    if (this.all.length === 0) this.all.push(newConversation());
    if (this.current.id === id) this.current = this.all[0] as Conversation;
    this.change.fire();
  }

  private async read(): Promise<void> {
    const { conversations, damaged } = await this.store.list();
    if (damaged.length > 0)
      this.services.log.warn(`These conversations cannot be read and were left as they are in ${this.store.folder}: ${damaged.join(", ")}`);
    this.all = conversations;
    if (conversations[0]) this.current = conversations[0];
    else this.all.push(this.current);
  }
}

function newConversation(): Conversation {
  const now = Date.now();
  return {
    schema: 1,
    id: randomUUID(),
    title: "New conversation",
    created: now,
    updated: now,
    act: "off",
    turns: [],
    draft: "",
    attachments: [],
    queue: [],
    editing: null,
  };
}
