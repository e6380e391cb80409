/** What an answer says again: the line before the cursor, itself, the lines below. */
import type { CursorText } from "./extent.js";
import { CLOSING, indentOf } from "./language.js";

/** Small models like to say the current line again before they go on. */
export function withoutPrefixEcho(text: string, { prefix }: CursorText): string {
  const line = prefix.slice(prefix.lastIndexOf("\n") + 1);
  const said = line.trim();
  if (said.length < 4 || !/\p{L}{3}/u.test(said)) return text;
  const body = text.trimStart();
  // A word that goes on is another word.
  return body.startsWith(said) && !/\w\w/.test(said.slice(-1) + body.charAt(said.length)) ? body.slice(said.length) : text;
}

/** A loop is cut after its first round. It does not end by itself: lines that say the same twice and then something else are meant so. */
export function withoutRepetition(text: string, { prefix }: CursorText): string {
  const lines = text.split("\n");
  for (let at = 0; at < lines.length; at++) {
    for (let period = 1; period <= 6; period++) {
      if (repeatsToTheEnd(lines, at, period) && lines.slice(at, at + period).some((line) => /\w/.test(line)))
        return lines.slice(0, at + period).join("\n");
    }
  }
  const inLine = /(.{4,60}?)\1{3,}/.exec(text);
  const round = inLine?.[1] ?? "";
  // Rows of numbers are data.
  if (inLine && /[\p{L}_]{2}/u.test(round) && round.startsWith(text.slice(inLine.index + inLine[0].length)))
    return text.slice(0, inLine.index + round.length);
  return isAbove(lines, prefix) ? "" : text;
}

/** Whether the lines from `at` on are rounds of `period` lines to the end: three of one line, two and the start of another of more. */
function repeatsToTheEnd(lines: readonly string[], at: number, period: number): boolean {
  const least = period === 1 ? 3 : period * 2 + 1;
  const last = lines.length - 1;
  if (lines.length - at < least) return false;
  for (let i = at + period; i <= last; i++) {
    const before = lines[i - period] as string;
    const line = lines[i] as string;
    // The last line may be cut short.
    if (line !== before && !(i === last && before.startsWith(line))) return false;
  }
  return true;
}

/** What stands directly above is not said again as a whole. */
function isAbove(lines: readonly string[], prefix: string): boolean {
  const before = prefix.split("\n");
  const current = before.pop() ?? "";
  const said = [current + (lines[0] ?? ""), ...lines.slice(1)].filter((line) => line.trim() !== "");
  const above = before.filter((line) => line.trim() !== "").slice(-said.length);
  const same = said.length > 0 && said.length === above.length && said.every((line, i) => line.trimEnd() === above[i]?.trimEnd());
  return current.trim() === "" && same && said.some((line) => line.trim().length > 3);
}

/** Lines below the cursor: the answer ends where it arrives at what comes next. Lines are compared with their indentation. */
export function withoutNextLines(text: string, { prefix, suffix }: CursorText): string {
  const end = suffix.indexOf("\n");
  if (end < 0) return text;
  const below = suffix
    .slice(end + 1)
    .split("\n")
    .map((line) => line.trimEnd())
    .filter((line) => line !== "");
  const next = below[0];
  if (next === undefined) return text;
  const lines = text.split("\n");
  const current = prefix.slice(prefix.lastIndexOf("\n") + 1);
  const whole = (i: number) => (i === 0 ? current + lines[0] : (lines[i] as string)).trimEnd();
  // What stands behind the cursor on its line ends the first line, so that cannot be the next one.
  for (let i = suffix.slice(0, end).trim() === "" && current.trim() === "" ? 0 : 1; i < lines.length; i++) {
    if (whole(i) !== next) continue;
    const opened = lines.some(
      (line, j) => j < i && (j > 0 || current.trim() === "") && line.trim() !== "" && indentOf(whole(j)) === indentOf(next),
    );
    // What ends a block arrives, unless the answer began that block itself.
    if (CLOSING.test(next) ? !opened : isArrival(lines.slice(i), below, prefix + lines.slice(0, i).join("\n")))
      return lines.slice(0, i).join("\n");
  }
  return text;
}

/** Whether lines that begin like those below are those: the rest agrees, or the last is the only one of its kind. */
function isArrival(lines: readonly string[], below: readonly string[], before: string): boolean {
  const said = (below[0] as string).trim();
  const rest = lines.slice(1).filter((line) => line.trim() !== "");
  if (rest.length === 0) return /\w/.test(said) && !before.includes(said);
  // The last line may be cut short.
  return rest.every((line, i) => (i === rest.length - 1 ? below[i + 1]?.startsWith(line) : below[i + 1] === line.trimEnd()));
}
