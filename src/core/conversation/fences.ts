/** Models quote Markdown that holds code blocks in a fence no longer than the ones inside; by the letter the first inner end would close it. */

interface Fence {
  indent: string;
  mark: string;
  info: string;
}

const MARKDOWN = /^(?:markdown|md|mdx|mdown)\b/i;

/**
 * The same Markdown with every fence that holds others made longer than those, so that any parser sees what was meant. Inside a fence, one with
 * a language opens and a bare one closes; in a block of Markdown a bare one may open too. A block of another language is only taken so where
 * that comes out even.
 */
export function widenFences(markdown: string): string {
  const lines = markdown.split("\n");
  for (let i = 0; i < lines.length; i++) {
    const open = fenceOf(lines[i] as string);
    if (!open) continue;
    const end = endOf(lines, i, open);
    if (end.nested) {
      const longest = Math.max(...lines.slice(i + 1, end.line).map((line) => fenceOf(line)?.mark.length ?? 0));
      const mark = open.mark[0]?.repeat(longest + 1) ?? open.mark;
      lines[i] = `${open.indent}${mark}${open.info}`;
      if (end.line < lines.length) lines[end.line] = `${open.indent}${mark}`;
    }
    i = end.line;
  }
  return lines.join("\n");
}

/** Line of the fence that closes the one at `from` (the number of lines where none does), and whether others are inside. */
function endOf(lines: readonly string[], from: number, open: Fence): { line: number; nested: boolean } {
  const isMarkdown = MARKDOWN.test(open.info.trim());
  const inside = (line: string) => {
    const fence = fenceOf(line);
    return fence && fence.mark[0] === open.mark[0] && fence.mark.length >= open.mark.length ? fence : null;
  };
  let depth = 1;
  let nested = false;
  let first = -1;
  for (let i = from + 1; i < lines.length; i++) {
    const fence = inside(lines[i] as string);
    if (!fence) continue;
    const opens = fence.info.trim() !== "" || (isMarkdown && depth === 1 && opensBare(lines, i, inside));
    if (opens) {
      depth++;
      nested = true;
      continue;
    }
    if (first < 0) first = i;
    depth--;
    if (depth === 0) return { line: i, nested };
  }
  // It does not come out even: an answer that is still being written, or by the letter.
  if (nested && !isMarkdown && first >= 0) return { line: first, nested: false };
  return { line: lines.length, nested };
}

/** A bare fence opens a block where a blank line is before it, text after it, and fences enough follow for it and the block around it to end. */
function opensBare(lines: readonly string[], at: number, inside: (line: string) => Fence | null): boolean {
  const blank = (line: string | undefined) => line === undefined || line.trim() === "";
  if (!blank(lines[at - 1]) || blank(lines[at + 1])) return false;
  return lines.slice(at + 1).filter((line) => inside(line)?.info.trim() === "").length >= 2;
}

function fenceOf(line: string): Fence | null {
  const [, indent = "", mark = "", info = ""] = /^([ \t]*)(`{3,}|~{3,})(.*)$/.exec(line.replace(/\r$/, "")) ?? [];
  return mark === "" || (mark.startsWith("`") && info.includes("`")) ? null : { indent, mark, info };
}
