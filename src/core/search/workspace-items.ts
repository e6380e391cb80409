/** Fill-in-the-middle items cut from a user's own sources: which files may be used, and where they are cut. Pure: the texts come from outside. */
import { NEAR } from "../completion/budget.js";
import { type Chunk, ChunkRing, chunksOf, importsOf, isImported } from "../completion/ring.js";
import { choose, derivedSeed, integer, type Random, random } from "../numbers/random.js";
import { hasSecret, isSecretPath } from "../secrets.js";

export interface SourceFile {
  /** Relative to the workspace, with forward slashes. */
  path: string;
  text: string;
}

export interface InfillItem {
  path: string;
  prefix: string;
  /** What stands between prefix and suffix: the rest of the line and the lines after it. */
  truth: string;
  suffix: string;
}

/** Extensions of the languages whose sources are used. Data and prose are not code. */
const SOURCE =
  /\.(c|h|cc|cpp|cxx|hpp|hh|cs|css|scss|dart|ex|exs|go|hs|java|js|jsx|mjs|cjs|jl|kt|kts|lua|m|mm|ml|php|pl|py|r|rb|rs|scala|sh|bash|sql|svelte|swift|ts|tsx|mts|cts|vue|zig)$/i;
/** Folders of other people's code and of build outputs, also where they are tracked. */
const FOREIGN =
  /(^|\/)(node_modules|vendor|third[_-]?party|external|dist|build|out|target|__pycache__|\.venv|venv|generated|gen|migrations)\//i;
const GENERATED_NAME = /(\.min\.|\.bundle\.|\.generated\.|\.g\.|_pb2\.|\.pb\.|\.designer\.|-lock\.|\.lock$)/i;
const GENERATED_TEXT = /@generated|do not (edit|modify)|auto-?generated|generated (by|from|automatically)|code generated/i;
/** Longer files are rarely written by hand. */
export const MOST_BYTES = 200_000;
const MOST_LINE = 400;

/** Whether a path may hold the user's own source, before it is read. */
export function isSourcePath(path: string): boolean {
  return SOURCE.test(path) && !FOREIGN.test(path) && !GENERATED_NAME.test(path) && !isSecretPath(path);
}

/** Whether a text may be used: written by hand, without secrets, of ordinary size. */
export function isSourceText(text: string): boolean {
  if (text.length > MOST_BYTES || text.includes("\0")) return false;
  if (GENERATED_TEXT.test(text.slice(0, 2000)) || hasSecret(text)) return false;
  return text.split("\n").every((line) => line.length <= MOST_LINE);
}

/** Lines worth completing: some code on them, and something before to complete from. */
const LEAST_LINE = 8;
const LEAST_PREFIX = 200;
/** Characters of truth: enough tokens to score, cut at the end of a line where possible. */
const TRUTH = 120;

/** One cut inside the code of a random line, or null where the file has no good line. */
function cut({ path, text }: SourceFile, rng: Random): InfillItem | null {
  const lines = text.split("\n");
  for (let attempt = 0; attempt < 12; attempt++) {
    const row = integer(rng, lines.length);
    const line = lines[row] as string;
    const indent = line.length - line.trimStart().length;
    if (line.trim().length < LEAST_LINE) continue;
    // At a word's start, where the editor asks too.
    const starts = [
      indent,
      ...[...line.matchAll(/(?<=\W)\w/g)].map((match) => match.index).filter((at) => at > indent && at < line.length - 4),
    ];
    const column = starts[integer(rng, starts.length)] as number;
    const offset = lines.slice(0, row).reduce((sum, one) => sum + one.length + 1, 0) + column;
    if (offset < LEAST_PREFIX) continue;
    const window = text.slice(offset, offset + TRUTH);
    const end = offset + TRUTH >= text.length || !window.includes("\n") ? window.length : window.lastIndexOf("\n") + 1;
    const truth = window.slice(0, end);
    if (truth.trim().length < LEAST_LINE / 2) continue;
    return { path, prefix: text.slice(0, offset), truth, suffix: text.slice(offset + truth.length) };
  }
  return null;
}

/** `count` items spread over the files, the same for the same files and seed. Fewer where the files do not give as many. */
export function infillItems(files: readonly SourceFile[], count: number, seed: number): InfillItem[] {
  const sorted = [...files].sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
  const items: InfillItem[] = [];
  const seen = new Set<string>();
  // In rounds over all files in random order, so that no file gives a second item before every other has given one.
  for (let round = 0; items.length < count && round < 20; round++) {
    const rng = random(derivedSeed(seed, `workspace ${round}`));
    const before = items.length;
    for (const file of choose(sorted, sorted.length, rng)) {
      const item = cut(file, random(derivedSeed(seed, `${file.path} ${round}`)));
      const key = item ? `${item.path} ${item.prefix.length}` : "";
      if (!item || seen.has(key)) continue;
      seen.add(key);
      items.push(item);
      if (items.length === count) break;
    }
    if (items.length === before && round > 3) break;
  }
  return items;
}

/** Files besides the imported ones whose pieces are at hand, as in an editor with some tabs open. */
const OPEN_FILES = 12;

/**
 * Pieces of other files for an item, chosen as the editor chooses them: from the files that its file imports and from some that happen to be open.
 * @param budget characters of all pieces together
 */
export function relatedPieces(item: InfillItem, files: readonly SourceFile[], budget: number, seed: number): Chunk[] {
  const imported = importsOf((item.prefix + item.suffix).slice(0, 20_000));
  const others = files.filter(({ path }) => path !== item.path);
  const open = choose(others, Math.min(OPEN_FILES, others.length), random(derivedSeed(seed, `open ${item.path}`)));
  const named = others.filter(({ path }) => imported.some((name) => isImported(path, name)));
  const ring = new ChunkRing(96);
  for (const { path, text } of new Set([...open, ...named])) for (const chunk of chunksOf(path, text)) ring.add(chunk);
  return ring.pick(item.prefix.slice(-NEAR.before) + item.suffix.slice(0, NEAR.after), budget, item.path, imported);
}
