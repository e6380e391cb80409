/**
 * What the filters of a suggestion cost and bring: `node scripts/run.mjs bench filters`. Real files of many languages, found where they lie on this
 * machine (ACT_CORPUS names more folders, parted by colons): a hole is cut, and the author's own text is given as the model's answer. What comes
 * out changed is damage. Half of the files are for tuning (ACT_CORPUS_HALF=tuning), the other half is what is reported.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import { CHARACTERS_PER_TOKEN, shares } from "../../src/core/completion/budget.js";
import { type CursorText, windowAround } from "../../src/core/completion/extent.js";
import { indentationOf, indentOf, indentWidth, opensBlock, rulesFor } from "../../src/core/completion/language.js";
import { type FilterName, fileContext, filters, postprocess } from "../../src/core/completion/postprocess.js";
import { choose, derivedSeed, integer, random } from "../../src/core/numbers/random.js";

const LANGUAGES: Record<string, string> = {
  ...{
    ts: "typescript",
    mts: "typescript",
    tsx: "typescriptreact",
    js: "javascript",
    mjs: "javascript",
    cjs: "javascript",
    jsx: "javascriptreact",
  },
  ...{
    py: "python",
    go: "go",
    c: "c",
    h: "cpp",
    cc: "cpp",
    cpp: "cpp",
    hpp: "cpp",
    cs: "csharp",
    java: "java",
    kt: "kotlin",
    rs: "rust",
    rb: "ruby",
  },
  ...{
    php: "php",
    lua: "lua",
    pl: "perl",
    pm: "perl",
    sh: "shellscript",
    bash: "shellscript",
    zsh: "shellscript",
    html: "html",
    css: "css",
  },
  ...{ scss: "scss", sql: "sql", md: "markdown", yml: "yaml", yaml: "yaml", json: "json", ex: "elixir", exs: "elixir", vue: "vue" },
  ...{ svelte: "svelte", xml: "xml", toml: "toml", cmake: "cmake", tcl: "tcl", swift: "swift" },
};
const FILES_PER_LANGUAGE = 60;
const LINES_PER_FILE = 12;
const BLOCKS_PER_FILE = 6;
const SKIPPED = /^(\.git|doc|man|locale|i18n|dist)$/;
const GENERATED = /@generated|do not edit|auto-?generated/i;

export interface CorpusFile {
  language: string;
  path: string;
  text: string;
}

/** Folders that hold sources on most machines. */
function folders(root: string): string[] {
  const ask = (command: string, args: string[]) => {
    try {
      return execFileSync(command, args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
    } catch {
      return "";
    }
  };
  return [
    ...["src", "webview", "native-patches", "node_modules"].map((folder) => path.join(root, folder)),
    ask("python3", ["-c", "import sysconfig; print(sysconfig.get_path('stdlib'))"]),
    path.join(ask("go", ["env", "GOROOT"]) || "/nowhere", "src"),
    ...["/usr/share", "/usr/include", "/usr/lib/git-core", "/etc"],
    ...(process.env.ACT_CORPUS ?? "").split(":"),
  ].filter((folder) => folder !== "" && fs.existsSync(folder));
}

function* walk(folder: string, depth = 0): Generator<string> {
  let entries: fs.Dirent[] = [];
  try {
    entries = fs.readdirSync(folder, { withFileTypes: true });
  } catch {
    return;
  }
  for (const entry of entries) {
    const full = path.join(folder, entry.name);
    if (entry.isDirectory() && depth < 10 && !SKIPPED.test(entry.name)) yield* walk(full, depth + 1);
    else if (entry.isFile()) yield full;
  }
}

const hash = (text: string) => createHash("sha1").update(text).digest("hex");

/** Source files as people write them, at most so many of a language and a third of them from one place. */
export function corpus(root: string, half: "tuning" | "held out"): CorpusFile[] {
  const byLanguage = new Map<string, string[]>();
  for (const folder of folders(root)) {
    for (const file of walk(folder)) {
      const language = LANGUAGES[/\.(\w+)$/.exec(file)?.[1] ?? ""];
      if (!language || /\.min\.|\.d\.ts$/.test(file)) continue;
      const list = byLanguage.get(language) ?? [];
      byLanguage.set(language, list);
      list.push(file);
    }
  }
  const found: CorpusFile[] = [];
  for (const [language, files] of byLanguage) {
    const places = new Map<string, number>();
    const seen = new Set<string>();
    const keyed = files.map((file) => ({ file, key: hash(path.basename(file)) })).sort((a, b) => (a.key < b.key ? -1 : 1));
    for (const { file, key } of keyed) {
      if (seen.size >= FILES_PER_LANGUAGE) break;
      if ((Number.parseInt(key.slice(-2), 16) % 2 === 0) !== (half === "tuning")) continue;
      const place = file.split(path.sep).slice(0, 6).join("/");
      if ((places.get(place) ?? 0) >= FILES_PER_LANGUAGE / 3) continue;
      const { size } = fs.statSync(file);
      if (size < 800 || size > 60_000) continue;
      const text = fs.readFileSync(file, "utf8").replace(/\r\n?/g, "\n");
      const lines = text.split("\n");
      if (
        text.includes("\0") ||
        text.includes("\ufffd") ||
        lines.length < 25 ||
        lines.some((line) => line.length > 400) ||
        GENERATED.test(text.slice(0, 1500))
      )
        continue;
      const digest = hash(text);
      if (seen.has(digest)) continue;
      seen.add(digest);
      places.set(place, (places.get(place) ?? 0) + 1);
      found.push({ language, path: file, text });
    }
  }
  return found;
}

export interface Hole {
  kind: "line" | "block";
  language: string;
  path: string;
  offset: number;
  truth: string;
  cursor: CursorText;
}

/** Holes in a file: lines from any column to their end, or inside them; blocks as the editor asks for them. */
export function holes({ language, path: file, text }: CorpusFile, whole: boolean): Hole[] {
  const rng = random(derivedSeed(7, path.basename(file)));
  const lines = text.split("\n");
  const starts = lines.map(() => 0);
  for (let i = 1; i < lines.length; i++) starts[i] = (starts[i - 1] as number) + (lines[i - 1] as string).length + 1;
  const rules = rulesFor(language);
  const { tabSize } = indentationOf(text);
  const found: Hole[] = [];
  const add = (kind: Hole["kind"], offset: number, hole: string) => {
    const truth = hole.trimEnd();
    if (truth.trim() === "") return;
    const share = shares(1024 * CHARACTERS_PER_TOKEN, offset, text.length - offset);
    const cursor = whole
      ? { prefix: text.slice(0, offset), suffix: text.slice(offset) }
      : windowAround(text, offset, share.before, share.after + truth.length);
    found.push({ kind, language, path: file, offset, truth, cursor: { ...cursor, suffix: cursor.suffix.slice(truth.length) } });
  };
  for (const row of choose([...lines.keys()], LINES_PER_FILE, rng)) {
    const line = lines[row] as string;
    if (line.trim().length < 3) continue;
    const from = integer(rng, line.length);
    const to = integer(rng, 4) === 0 ? from + 1 + integer(rng, line.length - from) : line.trimEnd().length;
    add("line", (starts[row] as number) + from, line.slice(from, to));
  }
  let blocks = 0;
  for (const row of choose([...lines.keys()], lines.length, rng)) {
    if (blocks >= BLOCKS_PER_FILE) break;
    const line = lines[row] as string;
    const width = (text: string) => indentWidth(indentOf(text), tabSize);
    const last = endOfBlock(lines, row, width);
    if (rules.blocks === "text" || line.trim() === "" || last <= row + 1 || last > row + 25) continue;
    const end = (starts[last] as number) + (lines[last] as string).trimEnd().length;
    // Half at the end of the opening line, half in the line below it, behind its indentation.
    const offset =
      integer(rng, 2) === 0 && opensBlock(line, rules)
        ? (starts[row] as number) + line.length
        : (starts[row + 1] as number) + indentOf(lines[row + 1] as string).length;
    const before = found.length;
    const truth =
      offset > (starts[row + 1] as number)
        ? text.slice(offset, (starts[last - 1] as number) + (lines[last - 1] as string).trimEnd().length)
        : text.slice(offset, end);
    if (truth.includes("\n")) add("block", offset, truth);
    blocks += found.length - before;
  }
  return found;
}

/** The row that ends the block which begins behind `row`: its closing line, or the last line that is indented deeper. */
function endOfBlock(lines: readonly string[], row: number, width: (line: string) => number): number {
  const own = width(lines[row] as string);
  let last = row;
  for (let i = row + 1; i < lines.length; i++) {
    const line = lines[i] as string;
    if (line.trim() === "") continue;
    if (width(line) > own) last = i;
    else return /^\s*(?:[)\]}]|<\/|end\b|fi\b|done\b|esac\b)/.test(line) && width(line) === own && last > row ? i : last;
  }
  return last;
}

interface Damage {
  language: string;
  lines: string;
  blocks: string;
  filters: Partial<Record<FilterName, number>>;
  notOffered: number;
}

export async function run({ root }: { root: string }): Promise<unknown> {
  const half = process.env.ACT_CORPUS_HALF === "tuning" ? "tuning" : "held out";
  const whole = process.env.ACT_CORPUS_WINDOW === "whole";
  const counts = new Map<string, { line: [number, number]; block: [number, number]; by: Map<FilterName, number>; cut: number }>();
  const count = (language: string) => {
    const known = counts.get(language) ?? { line: [0, 0], block: [0, 0], by: new Map(), cut: 0 };
    counts.set(language, known);
    return known;
  };
  const all = count("all");
  let slowest = 0;
  let spent = 0;
  let answers = 0;
  for (const file of corpus(root, half)) {
    const own = count(file.language);
    for (const hole of holes(file, whole)) {
      const context = fileContext(file.language, hole.cursor, hole.truth);
      // By the place of its cursor a hole of several lines may be one that only a line is offered for: that is no damage.
      if (hole.kind === "block" && context.extent === "line") {
        own.cut++;
        all.cut++;
        continue;
      }
      const start = performance.now();
      const { text, applied } = postprocess(hole.truth, context);
      const took = performance.now() - start;
      slowest = Math.max(slowest, took);
      spent += took;
      answers++;
      const changed = text !== hole.truth;
      for (const one of [own, all]) {
        one[hole.kind][1]++;
        if (!changed) continue;
        one[hole.kind][0]++;
        for (const name of applied) one.by.set(name, (one.by.get(name) ?? 0) + 1);
      }
      if (changed && process.env.ACT_SHOW && (process.env.ACT_SHOW === "all" || process.env.ACT_SHOW === file.language))
        console.error(
          `--- ${file.language} ${hole.path} ${applied.join()}\n${hole.cursor.prefix.slice(-160)}⟦${hole.truth}⟧${hole.cursor.suffix.slice(0, 100)}\n=> ${JSON.stringify(text)}`,
        );
    }
  }
  /** With Wilson's interval. */
  const rate = ([hit, of]: [number, number]) => {
    if (of === 0) return "none";
    const z2 = 1.96 ** 2;
    const centre = (hit + z2 / 2) / (of + z2);
    const half = (1.96 / (of + z2)) * Math.sqrt((hit * (of - hit)) / of + z2 / 4);
    const [low, high] = [centre - half, centre + half];
    return `${hit} of ${of} (${((100 * hit) / of).toFixed(2)} %, ${(100 * low).toFixed(2)} to ${(100 * high).toFixed(2)})`;
  };
  const rows: Damage[] = [...counts].map(([language, { line, block, by, cut }]) => ({
    language,
    lines: rate(line),
    blocks: rate(block),
    filters: Object.fromEntries(by),
    notOffered: cut,
  }));
  return { half, rows, milliseconds: { mean: spent / answers, slowest }, order: filters.map(([name]) => name) };
}
