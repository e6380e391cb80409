/** Where in a file a block of code from an answer belongs, and what the file becomes. Offsets in UTF-16 units. */
export interface Placement {
  start: number;
  end: number;
  text: string;
  how: "selection" | "matching lines" | "whole file" | "cursor";
}

/**
 * A selection is replaced. Without one, lines of the file that begin and end like the block are; where there are none, the block goes in at the
 * cursor (an empty file is filled).
 */
export function placeCode(file: string, selection: { start: number; end: number }, code: string): Placement {
  const eol = file.includes("\r\n") ? "\r\n" : "\n";
  const text = code.replace(/\r\n?/g, "\n").replace(/\n+$/, "");
  const native = (s: string) => s.replaceAll("\n", eol);
  if (selection.end > selection.start) {
    const ending = /\r?\n$/.test(file.slice(selection.start, selection.end)) ? "\n" : "";
    return { ...selection, text: native(text + ending), how: "selection" };
  }
  if (file.trim() === "") return { start: 0, end: file.length, text: native(`${text}\n`), how: "whole file" };
  const match = matchingLines(file, text.split("\n"));
  if (match) return { ...match, text: native(reindent(text, file.slice(match.start))), how: "matching lines" };
  const lineStart = file.slice(0, selection.start).lastIndexOf("\n") + 1;
  const fresh = file.slice(lineStart, selection.start).trim() === "";
  return { start: fresh ? lineStart : selection.start, end: selection.start, text: native(fresh ? `${text}\n` : text), how: "cursor" };
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

/** Gives the block the depth of the lines it replaces. */
function reindent(block: string, replaced: string): string {
  const have = /^[ \t]*/.exec(block)?.[0] ?? "";
  const want = /^[ \t]*/.exec(replaced)?.[0] ?? "";
  if (have === want) return block;
  return block
    .split("\n")
    .map((line) => (line.trim() === "" ? line : line.startsWith(have) ? want + line.slice(have.length) : line))
    .join("\n");
}

function indent(line: string): number {
  return line.length - line.trimStart().length;
}
