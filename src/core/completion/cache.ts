import type { CursorText } from "./extent.js";

export interface CachedAnswer extends CursorText {
  text: string;
}

/**
 * Answers that were given, for a cursor that comes back and for a user who types what was suggested. Keys are the texts nearest to
 * the cursor: what is far away changes without making an answer wrong at once.
 */
export class AnswerCache {
  private entries: CachedAnswer[] = [];

  constructor(
    readonly capacity = 128,
    private readonly before = 1500,
    private readonly after = 300,
  ) {}

  clear(): void {
    this.entries = [];
  }

  add(cursor: CursorText, text: string): void {
    const entry = { prefix: cursor.prefix.slice(-this.before), suffix: cursor.suffix.slice(0, this.after), text };
    this.entries = this.entries.filter((e) => e.prefix !== entry.prefix || e.suffix !== entry.suffix);
    this.entries.push(entry);
    if (this.entries.length > this.capacity) this.entries.shift();
  }

  /** What is left of a known answer once the user has typed its beginning (or nothing of it). The newest answer wins. */
  find(cursor: CursorText): { text: string; typed: number } | null {
    for (const entry of this.entries.toReversed()) {
      const typed = this.typedOf(entry, cursor);
      if (typed < 0) continue;
      const text = entry.text.slice(typed);
      if (text.trim() !== "") return { text, typed };
    }
    return null;
  }

  private typedOf(entry: CachedAnswer, cursor: CursorText): number {
    if (!sameSuffix(entry.suffix, cursor.suffix)) return -1;
    // A cut prefix begins anywhere, so equal endings decide; whole ones must agree from the start.
    const cut = entry.prefix.length >= this.before;
    for (let typed = 0; typed <= entry.text.length; typed++) {
      const expected = entry.prefix + entry.text.slice(0, typed);
      if (cut ? cursor.prefix.endsWith(expected) : cursor.prefix === expected) return typed;
    }
    return -1;
  }
}

/** The editor closes brackets and quotes by itself while the user types; that does not make an answer wrong. */
function sameSuffix(known: string, now: string): boolean {
  const auto = /^[)\]}"'`]*/.exec(now)?.[0].length ?? 0;
  for (let skip = 0; skip <= auto; skip++) {
    const rest = now.slice(skip, skip + known.length);
    if (rest === known || (rest.length < known.length && known.startsWith(rest) && rest.length > 200)) return true;
    if (known === "" && now.length === skip) return true;
  }
  return false;
}
