import { secretsIn } from "../secrets.js";

/** A piece of another file that may help at the cursor. */
export interface Chunk {
  path: string;
  text: string;
  /** First line in its file, from 0. */
  line: number;
}

interface Kept extends Chunk {
  words: Set<string>;
  at: number;
}

const LINES = 40;
const OVERLAP = 10;

/** Cuts a text into pieces of about forty lines that overlap a little, at blank lines where one is near. A piece that holds a secret is left out. */
export function chunksOf(path: string, text: string): Chunk[] {
  const unified = text.replace(/\r\n?/g, "\n");
  const secret = secretsIn(unified).map(({ start, end }) => [lineAt(unified, start), lineAt(unified, end)] as const);
  const lines = unified.split("\n");
  const chunks: Chunk[] = [];
  for (let from = 0; from < lines.length; ) {
    let to = Math.min(lines.length, from + LINES);
    if (to < lines.length) {
      const blank = lines.slice(to - OVERLAP, to).findLastIndex((line) => line.trim() === "");
      if (blank >= 0) to = to - OVERLAP + blank + 1;
    }
    const piece = lines.slice(from, to).join("\n").trimEnd();
    const open = !secret.some(([first, last]) => first < to && last >= from);
    if (piece.trim() !== "" && open) chunks.push({ path, text: piece, line: from });
    if (to >= lines.length) break;
    from = to;
  }
  return chunks;
}

function lineAt(text: string, offset: number): number {
  let line = 0;
  for (let at = text.indexOf("\n"); at >= 0 && at < offset; at = text.indexOf("\n", at + 1)) line++;
  return line;
}

/** Identifiers of three letters or more, split at case changes too: `readFile` shares a word with `fileReader`. */
export function wordsOf(text: string): Set<string> {
  const words = new Set<string>();
  for (const [word] of text.matchAll(/[\p{L}_][\p{L}\p{N}_]{2,}/gu)) {
    words.add(word.toLowerCase());
    for (const part of word.split(/_|(?<=\p{Ll})(?=\p{Lu})/u)) if (part.length > 2) words.add(part.toLowerCase());
  }
  return words;
}

function jaccard(a: Set<string>, b: Set<string>): number {
  if (a.size === 0 || b.size === 0) return 0;
  let shared = 0;
  for (const word of a.size < b.size ? a : b) if ((a.size < b.size ? b : a).has(word)) shared++;
  return shared / (a.size + b.size - shared);
}

/** Recent pieces of open and edited files: a ring that forgets the oldest, and never keeps two that say the same. */
export class ChunkRing {
  private kept: Kept[] = [];
  private clock = 0;

  constructor(readonly capacity = 64) {}

  get size(): number {
    return this.kept.length;
  }

  /** Adds a piece; what was like it (nine words in ten) gives way to it. */
  add(chunk: Chunk): void {
    const words = wordsOf(chunk.text);
    if (words.size < 3) return;
    this.kept = this.kept.filter((k) => !(k.path === chunk.path && k.line === chunk.line) && jaccard(k.words, words) <= 0.9);
    this.kept.push({ ...chunk, words, at: this.clock++ });
    if (this.kept.length > this.capacity) this.kept.shift();
  }

  forget(path: string): void {
    this.kept = this.kept.filter((k) => k.path !== path);
  }

  /**
   * The pieces nearest to `query` that fit into `budget` characters together, the best last (nearest to the cursor in the prompt). Pieces of
   * `exclude` (the file itself) are left out; pieces of the files in `imported` come first among equals.
   */
  pick(query: string, budget: number, exclude: string, imported: string[] = []): Chunk[] {
    const words = wordsOf(query);
    const scored = this.kept
      .filter((k) => k.path !== exclude)
      .map((k) => ({ k, score: jaccard(k.words, words) * (imported.some((name) => isImported(k.path, name)) ? 2 : 1) }))
      .filter(({ score }) => score > 0.02)
      .sort((a, b) => b.score - a.score || b.k.at - a.k.at);
    const picked: Chunk[] = [];
    let left = budget;
    for (const { k } of scored) {
      const cost = k.text.length + k.path.length;
      if (cost > left) continue;
      left -= cost;
      picked.push({ path: k.path, text: k.text, line: k.line });
    }
    return picked.reverse();
  }
}

/** Whether a path is what an import names, by its base name. */
export function isImported(path: string, name: string): boolean {
  const base = (p: string) => p.replace(/^.*[\\/]/, "").replace(/\.[^.]*$/, "");
  return base(path) !== "" && base(path) === base(name.replace(/\./g, "/").replace(/\/(js|ts|jsx|tsx|mjs|cjs)$/, ".$1"));
}

/** Module names that a source text imports, as written there. */
export function importsOf(text: string): string[] {
  const names = new Set<string>();
  const patterns = [
    /\bfrom\s+["']([^"'\n]+)["']/g,
    /\b(?:require|import)\s*\(?\s*["']([^"'\n]+)["']/g,
    /^\s*from\s+([\w.]+)\s+import\b/gm,
    /^\s*import\s+([\w.]+)/gm,
    /^\s*#include\s+["<]([^">\n]+)[">]/gm,
    /^\s*(?:pub\s+)?(?:use|mod)\s+(?:crate::)?([\w]+)/gm,
  ];
  for (const pattern of patterns) for (const match of text.matchAll(pattern)) if (match[1]) names.add(match[1]);
  return [...names];
}
