// The chat's conversations: one JSON file each, so that one damaged file costs one conversation.
import fs from "node:fs/promises";
import path from "node:path";
import * as v from "valibot";
import { type Conversation, ConversationSchema } from "../protocol/chat.js";
import { writeFileAtomic } from "./atomic.js";

export class ConversationStore {
  private readonly writing = new Map<string, Promise<void>>();

  constructor(readonly folder: string) {}

  /** All that can be read, newest first, and the names of files that cannot: those are left where they are. */
  async list(): Promise<{ conversations: Conversation[]; damaged: string[] }> {
    const names = await fs.readdir(this.folder).catch(() => [] as string[]);
    const conversations: Conversation[] = [];
    const damaged: string[] = [];
    for (const name of names.filter((one) => one.endsWith(".json"))) {
      const conversation = await this.read(path.join(this.folder, name));
      if (conversation && `${conversation.id}.json` === name) conversations.push(interrupted(conversation));
      else damaged.push(name);
    }
    return { conversations: conversations.sort((a, b) => b.updated - a.updated), damaged };
  }

  /** Writes the conversation as it is now; writes of one conversation follow each other. Errors: `store`. */
  save(conversation: Conversation): Promise<void> {
    const text = JSON.stringify(conversation);
    const before = this.writing.get(conversation.id) ?? Promise.resolve();
    const now = before.catch(() => undefined).then(() => writeFileAtomic(this.file(conversation.id), text));
    this.writing.set(conversation.id, now);
    return now;
  }

  async delete(id: string): Promise<void> {
    await this.writing.get(id)?.catch(() => undefined);
    await fs.rm(this.file(id), { force: true });
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

/** An answer that was being written when the window went away stays as far as it came, and says so. */
function interrupted(conversation: Conversation): Conversation {
  for (const turn of conversation.turns) {
    for (const answer of turn.answers) {
      if (answer.state !== "waiting" && answer.state !== "streaming") continue;
      answer.state = "stopped";
      answer.note = "The window was closed before the answer was complete.";
    }
  }
  return conversation;
}
