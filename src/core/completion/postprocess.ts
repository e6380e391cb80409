import type { CursorText, Extent } from "./extent.js";
import { balance, indentOf, isOpenerOf, type LanguageRules } from "./language.js";

/** What a filter did, for the record that answers "Why did nothing appear?". */
export interface Filtered {
  text: string;
  /** Filters that changed the text, in order. */
  applied: FilterName[];
  /** The filter that left nothing, or null. */
  dropped: FilterName | null;
}

export type FilterName =
  | "control characters"
  | "code fence"
  | "prefix echo"
  | "indentation"
  | "repetition"
  | "suffix echo"
  | "bracket balance"
  | "one line"
  | "trailing blanks"
  | "empty";

export interface FilterContext extends CursorText {
  extent: Extent;
  rules: LanguageRules;
  /** What the file indents with. */
  indentation: "tabs" | "spaces";
  tabSize: number;
}

type Filter = (text: string, context: FilterContext) => string;

/** In this order: each relies on those before it. */
const filters: [FilterName, Filter][] = [
  ["control characters", withoutControl],
  ["code fence", withoutFence],
  ["prefix echo", withoutPrefixEcho],
  ["indentation", keepIndentation],
  ["repetition", withoutRepetition],
  ["suffix echo", withoutSuffixEcho],
  ["bracket balance", balanced],
  ["one line", oneLine],
  ["trailing blanks", (text) => text.replace(/[ \t]+$/gm, "").replace(/\s+$/, "")],
];

/** Makes a model's raw answer fit between prefix and suffix, or says which rule left nothing of it. */
export function postprocess(raw: string, context: FilterContext): Filtered {
  const applied: FilterName[] = [];
  let text = raw;
  if (text.trim() === "") return { text: "", applied, dropped: "empty" };
  for (const [name, filter] of filters) {
    const next = filter(text, context);
    if (next !== text) applied.push(name);
    text = next;
    if (text.trim() === "") return { text: "", applied, dropped: name };
  }
  return { text, applied, dropped: null };
}

/** Line feeds only, no control characters, no text forms of special tokens: all that follows one is not the answer. */
function withoutControl(text: string): string {
  const special = text.search(/<\|[a-z_]{2,30}\|>|<\/s>|<(?:fim_|file_sep|repo_name|end_of_turn)/i);
  const body = special < 0 ? text : text.slice(0, special);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is to be removed
  return body.replace(/\r\n?/g, "\n").replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f\ufffd]/g, "");
}

/** A chat model ends code with a fence and goes on to explain it: code has no lines of three backticks. */
function withoutFence(text: string, { rules }: Pick<FilterContext, "rules">): string {
  if (rules.blocks === "text") return text;
  const fence = /^[ \t]*```.*$/m.exec(text);
  if (!fence) return text;
  // An answer that begins with a fence holds its code behind it.
  if (text.slice(0, fence.index).trim() !== "") return text.slice(0, fence.index);
  return withoutFence(text.slice(fence.index + fence[0].length).replace(/^\n/, ""), { rules });
}

/** Small models like to say the current line again before they go on. */
function withoutPrefixEcho(text: string, { prefix }: FilterContext): string {
  const line = prefix.slice(prefix.lastIndexOf("\n") + 1);
  const said = line.trim();
  if (said.length < 4) return text;
  const body = text.trimStart();
  return body.startsWith(said) ? body.slice(said.length) : text;
}

/** The cursor may already stand behind the indentation; the file may use the other kind of blank. */
function keepIndentation(text: string, { prefix, indentation, tabSize }: FilterContext): string {
  const line = prefix.slice(prefix.lastIndexOf("\n") + 1);
  let body = text;
  if (line !== "" && line.trim() === "") {
    const lead = indentOf(body);
    body = body.slice(lead.length);
    // On a fresh line the model may have written the indentation that is already there, or the part that is missing.
    if (lead.length > line.length && lead.startsWith(line)) body = lead.slice(line.length) + body;
  } else if (/[ \t]$/.test(line)) body = body.replace(/^[ \t]+/, "");
  return body
    .split("\n")
    .map((part, i) => (i === 0 ? part : convertIndent(part, indentation, tabSize)))
    .join("\n");
}

function convertIndent(line: string, to: "tabs" | "spaces", tabSize: number): string {
  const lead = indentOf(line);
  if (to === "spaces") return lead.replaceAll("\t", " ".repeat(tabSize)) + line.slice(lead.length);
  return lead.replaceAll(" ".repeat(tabSize), "\t") + line.slice(lead.length);
}

/** A loop is cut after its first round: the same line three times, or a short run of lines twice and again; and lines that are just above the cursor. */
function withoutRepetition(text: string, { prefix }: FilterContext): string {
  const lines = text.split("\n");
  for (let at = 0; at < lines.length; at++) {
    for (let period = 1; period <= 6; period++) {
      if (repeats(lines, at, period) && lines.slice(at, at + period).some((l) => l.trim().length > 1)) {
        return lines.slice(0, at + period).join("\n");
      }
    }
  }
  const inLine = /(.{4,60}?)\1{3,}/.exec(text);
  if (inLine && /\w/.test(inLine[1] ?? "")) return text.slice(0, inLine.index + (inLine[1] ?? "").length);
  // What stands directly above is not said again as a whole.
  const above = prefix
    .split("\n")
    .slice(0, -1)
    .filter((l) => l.trim() !== "")
    .slice(-lines.length);
  const said = lines.filter((l) => l.trim() !== "");
  const tail = above.slice(-said.length);
  const onFreshLine = prefix.slice(prefix.lastIndexOf("\n") + 1).trim() === "";
  const same = said.length > 0 && said.length === tail.length && said.every((l, i) => l.trim() === tail[i]?.trim());
  return onFreshLine && same && said.some((l) => l.trim().length > 3) ? "" : text;
}

function repeats(lines: string[], at: number, period: number): boolean {
  const rounds = period === 1 ? 3 : 2;
  if (at + period * rounds > lines.length) return false;
  for (let i = at; i < at + period * (rounds - 1); i++) if (lines[i]?.trim() !== lines[i + period]?.trim()) return false;
  return true;
}

/** What already stands behind the cursor is not offered again. */
function withoutSuffixEcho(text: string, { suffix }: FilterContext): string {
  const rest = suffix.slice(0, (suffix.indexOf("\n") + 1 || suffix.length + 1) - 1).trimEnd();
  let body = text;
  // The rest of the line: by letter, even a single bracket or quote.
  const first = body.split("\n")[0] ?? "";
  if (rest.trim() !== "") {
    const overlap = overlapOf(first.trimEnd(), rest);
    if (overlap > 0) body = first.trimEnd().slice(0, first.trimEnd().length - overlap);
  }
  // Lines below: cut where the answer arrives at what comes next.
  const below = suffix
    .slice(suffix.indexOf("\n") + 1)
    .split("\n")
    .map((l) => l.trim())
    .filter((l) => l !== "");
  const next = below[0];
  if (next === undefined || suffix.indexOf("\n") < 0) return body;
  const lines = body.split("\n");
  const from = rest.trim() === "" ? 0 : 1;
  for (let i = from; i < lines.length; i++) {
    const line = (lines[i] ?? "").trim();
    if (line !== next) continue;
    // A lone bracket is everywhere: the balance decides about it, unless the line after it agrees too.
    const following = lines
      .slice(i + 1)
      .find((l) => l.trim() !== "")
      ?.trim();
    if (line.length > 3 || !/^[)\]};,]*$/.test(line) || (following !== undefined && following === below[1]))
      return lines.slice(0, i).join("\n");
  }
  return body;
}

/** Length of the longest end of `text` that is a beginning of `rest`. */
function overlapOf(text: string, rest: string): number {
  for (let n = Math.min(text.length, rest.length); n > 0; n--)
    if (text.endsWith(rest.slice(0, n))) return isEcho(rest.slice(0, n), rest) ? n : 0;
  return 0;
}

/** One shared letter is chance; a bracket, a quote or the whole rest of the line is not. */
function isEcho(shared: string, rest: string): boolean {
  return shared.length > 2 || shared === rest || /^[)\]}"'`;,>]+$/.test(shared);
}

/** Cuts before a bracket that closes something the text behind the cursor closes already, or that nothing opened. */
function balanced(text: string, { prefix, suffix, rules }: FilterContext): string {
  const opened = balance(prefix.slice(-20_000), rules).open;
  const closedBelow = balance(suffix.slice(0, 20_000), rules).close;
  // Closers below take the outer openers; what is left over is the answer's to close.
  const free = [...opened];
  for (const { char } of closedBelow.toReversed()) {
    const at = free.findIndex((o) => isOpenerOf(o.char, char));
    if (at >= 0) free.splice(at, 1);
  }
  for (const { char, at } of balance(text, rules).close) {
    const opener = free.at(-1);
    if (!opener || !isOpenerOf(opener.char, char)) return text.slice(0, at).trimEnd();
    free.pop();
  }
  return text;
}

function oneLine(text: string, { extent, suffix }: FilterContext): string {
  const codeFollows = /^[^\n]*[^\s)\]}"'`;,:>]/.test(suffix);
  if (extent === "block" && !codeFollows) return text;
  const end = text.indexOf("\n");
  return end < 0 ? text : text.slice(0, end);
}
