import { cutStep, frontCut } from "./budget.js";
import { indentOf, indentWidth, type LanguageRules, opensBlock } from "./language.js";

/** `line`: the rest of this line; `block`: lines until the block that begins here is closed. */
export type Extent = "line" | "block";

/** Where the cursor is: the text around it, as cut by `windowAround`, with line feeds only. */
export interface CursorText {
  prefix: string;
  suffix: string;
}

/**
 * The text around `offset`, at most `before` and `after` characters of it. Both ends are cut at line starts where one is near; the start moves
 * in steps, so that it stays where it is while the user types and the engine can reuse what it has already read.
 */
export function windowAround(text: string, offset: number, before: number, after: number): CursorText {
  let start = frontCut(offset, before);
  if (start > 0) {
    const line = text.indexOf("\n", start - 1);
    start = line >= 0 && line < Math.min(offset, start + cutStep(before)) ? line + 1 : wholeCharacter(text, start);
  }
  let end = Math.min(text.length, offset + after);
  if (end < text.length) {
    const line = text.lastIndexOf("\n", end);
    end = line >= offset + after / 2 ? line : wholeCharacter(text, end);
  }
  const unify = (part: string) => part.replace(/\r\n?/g, "\n");
  return { prefix: unify(text.slice(start, offset)), suffix: unify(text.slice(offset, end)) };
}

/** Never cut between the two halves of a surrogate pair. */
function wholeCharacter(text: string, at: number): number {
  const code = text.charCodeAt(at);
  return code >= 0xdc00 && code <= 0xdfff ? at - 1 : at;
}

/** How much to offer here. Code after the cursor on its line means: only that line may be completed. */
export function extentAt({ prefix, suffix }: CursorText, rules: LanguageRules): Extent {
  const restOfLine = suffix.slice(0, (suffix.indexOf("\n") + 1 || suffix.length + 1) - 1);
  if (/[^\s)\]}"'`;,:>]/.test(restOfLine)) return "line";
  if (rules.blocks === "text") return "line";
  const lines = prefix.split("\n");
  const current = lines.at(-1) ?? "";
  const before = current.trim() === "" ? (lines.slice(0, -1).findLast((line) => line.trim() !== "") ?? "") : current;
  if (rules.lineComment && before.trimStart().startsWith(rules.lineComment)) return current.trim() === "" ? "block" : "line";
  if (opensBlock(before, rules)) return "block";
  // An empty line between others: a statement or two, which end where the indentation does.
  return current.trim() === "" && restOfLine.trim() === "" ? "block" : "line";
}

/**
 * Length of the part of a growing answer that belongs to `extent`, or -1 while more of it may come. A stream is stopped as soon
 * as this is known: tokens behind it would only be thrown away.
 */
export function finishedAt(text: string, extent: Extent, cursor: CursorText, rules: LanguageRules, tabSize: number): number {
  const current = cursor.prefix.slice(cursor.prefix.lastIndexOf("\n") + 1);
  if (extent === "line") return text.indexOf("\n");
  const own = indentWidth(indentOf(current), tabSize);
  const opened = current.trim() !== "" || opensBlock(lastLine(cursor.prefix), rules);
  const lines = text.split("\n");
  let at = (lines[0] ?? "").length;
  let seen = (lines[0] ?? "").trim() !== "";
  // The last line is still growing: it is judged when the next one begins.
  for (let i = 1; i < lines.length - 1; i++) {
    const line = lines[i] as string;
    const blank = line.trim() === "";
    const width = indentWidth(indentOf(line), tabSize);
    if (!blank && width < own) return at;
    if (!blank && seen && width === own && current.trim() !== "") {
      // Back at the level where the block began: its closing line belongs to it, anything else does not.
      return /^\s*[)\]}]/.test(line) ? at + 1 + line.length : at;
    }
    if (blank && seen && !opened) return at;
    if (!blank) seen = true;
    at += 1 + line.length;
  }
  return -1;
}

/**
 * A prefix that ends in blanks is unlike anything a model has read, for its tokens carry the blanks before a word. So a model without fill-in
 * tokens gets the prefix without them and writes them itself; this takes off what stands there already.
 *
 * @param blanks what was left off the prefix
 * @param ended whether `raw` is all of the answer
 * @returns the answer behind the blanks; null while they are still coming, and where the answer goes on with the line above instead
 */
export function afterBlanks(raw: string, blanks: string, ended: boolean): string | null {
  if (blanks === "") return raw;
  const lead = /^\s*/.exec(raw)?.[0] ?? "";
  if (lead.length === raw.length && !ended) return null;
  if (!blanks.includes("\n")) return raw.replace(/^[ \t]+/, "");
  if (!lead.includes("\n")) return null;
  // The indentation stays: post-processing fits it to what the cursor's line has.
  return raw.slice(lead.lastIndexOf("\n") + 1);
}

function lastLine(prefix: string): string {
  return prefix.split("\n").findLast((line) => line.trim() !== "") ?? "";
}

const MAX_FILE = 2_000_000;
const MAX_LINE = 5_000;

/** Why a file gets no completions, in a sentence; null where it may have them. */
export function unsuitable(text: string, offset: number): string | null {
  if (text.length > MAX_FILE) return `The file is larger than ${MAX_FILE / 1e6} million characters.`;
  if (text.slice(0, 8192).includes("\0")) return "The file looks binary.";
  const start = text.slice(0, offset).lastIndexOf("\n") + 1;
  const end = text.indexOf("\n", offset);
  if ((end < 0 ? text.length : end) - start > MAX_LINE) return `The line is longer than ${MAX_LINE} characters, as in minified code.`;
  return null;
}
