// The chat's conversations: one JSON file each, so that one damaged file costs one conversation. Several windows may share them.
import fs from "node:fs/promises";
import path from "node:path";
import * as v from "valibot";
import { adoptMerge, mergeConversation, same } from "../core/conversation/merge.js";
import { type Conversation, ConversationSchema, type Turn } from "../protocol/chat.js";
import { storeError, writeFileAtomic } from "./atomic.js";
import { withLock } from "./lock.mjs";

export class ConversationStore {
  private readonly writing = new Map<string, Promise<boolean>>();
  /** What was read or written last, by conversation: what another window wrote since is seen against it. */
  private readonly bases = new Map<string, Conversation>();
  private readonly stamps = new Map<string, number | undefined>();

  constructor(readonly folder: string) {}

  /** All that can be read, newest first, and the names of files that cannot: those are left where they are. */
  async list(): Promise<{ conversations: Conversation[]; damaged: string[] }> {
    const names = await fs.readdir(this.folder).catch(() => [] as string[]);
    const conversations: Conversation[] = [];
    const damaged: string[] = [];
    for (const name of names.filter((one) => one.endsWith(".json"))) {
      const read = await this.read(path.join(this.folder, name));
      const conversation = read && asSeen(read);
      if (conversation && `${conversation.id}.json` === name) {
        await this.know(conversation);
        conversations.push(conversation);
      } else damaged.push(name);
    }
    return { conversations: conversations.sort((a, b) => b.updated - a.updated), damaged };
  }

  /**
   * Takes in what other windows have written since: into the conversations given, which may have changes of their own that are not written yet.
   * Returns those that are new on disk, and the ids of those that were deleted there and not changed here.
   */
  async refresh(known: readonly Conversation[]): Promise<{ added: Conversation[]; gone: string[] }> {
    const names = await fs.readdir(this.folder).catch(() => [] as string[]);
    const there = new Set(names.map((name) => path.basename(name, ".json")));
    const added: Conversation[] = [];
    for (const id of [...there].filter((one) => names.includes(`${one}.json`))) {
      const own = known.find((one) => one.id === id);
      if (own && this.bases.has(id) && this.stamps.get(id) === (await this.stamp(id))) continue;
      const disk = await this.read(path.join(this.folder, `${id}.json`));
      if (!disk || disk.id !== id) continue;
      if (own) {
        const mine = structuredClone(own);
        const merged = mergeConversation({ base: this.bases.get(id) ?? null, disk, mine });
        if (merged) adoptMerge(own, mine, asSeen(merged, mine));
        await this.know(asSeen(disk, mine));
      } else {
        const fresh = asSeen(disk);
        await this.know(fresh);
        added.push(fresh);
      }
    }
    const gone = known.filter((one) => {
      const base = this.bases.get(one.id);
      return base && !there.has(one.id) && !mergeConversation({ base, disk: null, mine: one });
    });
    for (const { id } of gone) this.bases.delete(id);
    return { added, gone: gone.map(({ id }) => id) };
  }

  /**
   * Writes the conversation as it is when its turn comes; writes of one conversation follow each other. What other windows have added to it
   * meanwhile is kept on disk and put into `conversation` too.
   * False where another window has deleted a conversation that nothing was added to here: it is not written. Errors: `store`.
   */
  save(conversation: Conversation): Promise<boolean> {
    const before = this.writing.get(conversation.id) ?? Promise.resolve(true);
    const now = before.catch(() => true).then(() => this.write(conversation));
    this.writing.set(conversation.id, now);
    return now;
  }

  async delete(id: string): Promise<void> {
    const file = this.file(id);
    await this.writing.get(id)?.catch(() => undefined);
    this.bases.delete(id);
    await fs.rm(file, { force: true });
  }

  private async write(conversation: Conversation): Promise<boolean> {
    const { id } = conversation;
    const file = this.file(id);
    try {
      return await withLock(`${file}.lock`, async () => {
        const disk = await this.read(file);
        const mine = structuredClone(conversation);
        const merged = mergeConversation({ base: this.bases.get(id) ?? null, disk, mine });
        if (!merged) {
          this.bases.delete(id);
          return false;
        }
        await writeFileAtomic(file, JSON.stringify(merged));
        const seen = asSeen(merged, mine);
        adoptMerge(conversation, mine, seen);
        await this.know(seen);
        return true;
      });
    } catch (error) {
      throw storeError(error, file);
    }
  }

  /** When the file was last changed, in milliseconds. */
  private async stamp(id: string): Promise<number | undefined> {
    return (await fs.stat(this.file(id)).catch(() => null))?.mtimeMs;
  }

  private async know(conversation: Conversation): Promise<void> {
    this.bases.set(conversation.id, structuredClone(conversation));
    this.stamps.set(conversation.id, await this.stamp(conversation.id));
  }

  private file(id: string): string {
    return path.join(this.folder, `${v.parse(ConversationSchema.entries.id, id)}.json`);
  }

  private async read(file: string): Promise<Conversation | null> {
    try {
      const parsed = v.safeParse(ConversationSchema, JSON.parse(await fs.readFile(file, "utf8")));
      return parsed.success ? parsed.output : null;
    } catch {
      return null;
    }
  }
}

/**
 * A conversation as this window shows it: an answer that another window was writing when this one read it stays as far as it came, and says so.
 * The turns of `mine` may be streaming here.
 */
function asSeen(conversation: Conversation, mine: Conversation | null = null): Conversation {
  const own = new Map(mine?.turns.map((turn) => [turn.id, turn]));
  return {
    ...conversation,
    turns: conversation.turns.map((turn) => (same(own.get(turn.id), turn) ? turn : interrupted(turn))),
  };
}

function interrupted(turn: Turn): Turn {
  const running = (state: string) => state === "waiting" || state === "streaming";
  if (!turn.answers.some(({ state }) => running(state))) return turn;
  const note = "The answer was not complete when it was read: the window that asked was closed, or is still writing it.";
  return { ...turn, answers: turn.answers.map((answer) => (running(answer.state) ? { ...answer, state: "stopped", note } : answer)) };
}
