import { atDepth, indentOf } from "./indent.js";

/** Where in a file a block of code from an answer belongs, and what the file becomes. Offsets in UTF-16 units. */
export interface Placement {
  start: number;
  end: number;
  text: string;
  how: "selection" | "matching lines" | "whole file" | "cursor";
}

/**
 * A selection is replaced. Without one, lines of the file that begin and end like the block are; where there are none, the block goes in at the
 * cursor (an empty file is filled). The block gets the depth of the place it goes to.
 */
export function placeCode(file: string, selection: { start: number; end: number }, code: string): Placement {
  const text = clean(code);
  const match = selection.end > selection.start || file.trim() === "" ? null : matchingLines(file, text.split("\n"));
  if (!match) return insertCode(file, selection, code);
  const replaced =
    file
      .slice(match.start, match.end)
      .split("\n")
      .find((line) => line.trim() !== "") ?? "";
  return { ...match, text: withEndings(file, atDepth(text, indentOf(replaced), file)), how: "matching lines" };
}

/** In place of the selection, or at the cursor. */
export function insertCode(file: string, { start, end }: { start: number; end: number }, code: string): Placement {
  const text = clean(code);
  const native = (s: string) => withEndings(file, s);
  if (end === start && file.trim() === "") return { start: 0, end: file.length, text: native(`${text}\n`), how: "whole file" };
  const lineStart = file.slice(0, start).lastIndexOf("\n") + 1;
  const before = file.slice(lineStart, start);
  const inLine = before.trim() !== "";
  if (end > start) {
    const selected = file.slice(start, end);
    const ending = selected.endsWith("\n") ? "\n" : "";
    if (inLine) return { start, end, text: native(atDepth(text, indentOf(before), file).trimStart() + ending), how: "selection" };
    const first = (before + selected).split("\n").find((line) => line.trim() !== "") ?? before;
    return { start: lineStart, end, text: native(atDepth(text, indentOf(first), file) + ending), how: "selection" };
  }
  const rest = file.slice(start).split("\n", 1)[0] ?? "";
  if (inLine) return { start, end, text: native(atDepth(text, indentOf(before), file).trimStart()), how: "cursor" };
  const block = atDepth(text, before, file);
  // On a blank line the block is that line; before something it gets a line of its own, and what follows keeps its depth.
  const blank = rest.trim() === "";
  const last = start + rest.length >= file.length;
  return { start: lineStart, end: start, text: native(blank && !last ? block : `${block}\n${blank ? "" : before}`), how: "cursor" };
}

function clean(code: string): string {
  return code.replace(/\r\n?/g, "\n").replace(/^(?:[ \t]*\n)+|\s+$/g, "");
}

/** With the file's own line endings. */
function withEndings(file: string, text: string): string {
  return file.includes("\r\n") ? text.replaceAll("\n", "\r\n") : text;
}

/** The one place whose first and last lines are those of the block, blanks at the ends aside. */
function matchingLines(file: string, block: string[]): { start: number; end: number } | null {
  const first = block.find((line) => line.trim() !== "")?.trim();
  const last = block.findLast((line) => line.trim() !== "")?.trim();
  if (!first || !last || first.length < 4) return null;
  const lines = file.split("\n");
  const starts = lines.flatMap((line, i) => (line.trim() === first ? [i] : []));
  const from = starts.length === 1 ? (starts[0] as number) : -1;
  if (from < 0) return null;
  // A lone bracket closes many things: the one at the first line's own depth is meant.
  const depth = indent(lines[from] as string);
  let to = lines.findIndex((line, i) => i >= from && line.trim() === last && (last.length > 3 || indent(line) === depth));
  if (to < 0 || to - from > block.length * 3 + 20) to = block.length > 1 ? blockEnd(lines, from, depth) : -1;
  if (to < 0) return null;
  const start = lines.slice(0, from).join("\n").length + (from > 0 ? 1 : 0);
  const end = lines
    .slice(0, to + 1)
    .join("\n")
    .replace(/\r$/, "").length;
  return { start, end };
}

/** Last line of the block that the line at `from` opens: what is deeper, and the bracket that closes it. -1 where it opens none. */
function blockEnd(lines: string[], from: number, depth: number): number {
  let to = from;
  for (let i = from + 1; i < lines.length; i++) {
    const line = lines[i] as string;
    if (line.trim() === "") continue;
    if (indent(line) > depth) to = i;
    else return indent(line) === depth && /^\s*[)\]}]/.test(line) ? i : to > from ? to : -1;
  }
  return to > from ? to : -1;
}

function indent(line: string): number {
  return indentOf(line).length;
}
