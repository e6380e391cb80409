/**
 * A block of code at another depth. Models write code at the margin, or copy it with the depth of its file, or with that of all lines but the
 * first; with tabs where the file has blanks, or the other way round. What is relative inside the block stays.
 *
 * @param base the blanks or tabs that the block's outermost lines get
 * @param file the text around, for its unit of indentation
 */
export function atDepth(block: string, base: string, file: string): string {
  const unit = unitOf(file) ?? (base.includes("\t") ? "\t" : null);
  const lines = sameUnit(block.split("\n"), unit);
  const [first = "", ...rest] = lines;
  const others = rest.filter(isText);
  const outer = Math.min(...others.map(depth));
  // The first line was cut out of its place, the others have the depth of the file already.
  const opens = /[:{([]$|\b(?:do|then|else)$/.test(first.trim());
  const closed = others.some((line) => depth(line) === outer && /^\s*(?:[)\]}]|end\b)/.test(line));
  const absolute =
    base !== "" &&
    depth(first) === 0 &&
    others.length > 0 &&
    (outer === base.length ? !opens || closed : opens && outer === base.length + (unit?.length ?? 4));
  if (absolute) return [base + first, ...rest].map((line) => (isText(line) ? line : "")).join("\n");
  const least = Math.min(...lines.filter(isText).map(depth));
  return lines.map((line) => (isText(line) ? base + line.slice(least) : "")).join("\n");
}

/** The blanks and tabs at the front of a line. */
export function indentOf(line: string): string {
  return /^[ \t]*/.exec(line)?.[0] ?? "";
}

/** What one level is in this text: a tab, or the smallest step between lines that follow each other; null where nothing is indented. */
function unitOf(text: string): string | null {
  let least = 0;
  let before = 0;
  for (const line of text.split("\n")) {
    if (!isText(line)) continue;
    const indent = indentOf(line);
    if (indent.startsWith("\t")) return "\t";
    const step = indent.length - before;
    if (step > 1 && (least === 0 || step < least)) least = step;
    before = indent.length;
  }
  return least === 0 ? null : " ".repeat(least);
}

/** Lines indented with tabs where `unit` is one, and with blanks otherwise. */
function sameUnit(lines: readonly string[], unit: string | null): string[] {
  const own = unitOf(lines.join("\n"));
  if (unit === null || own === null || (own === "\t") === (unit === "\t")) return [...lines];
  return lines.map((line) => {
    const indent = indentOf(line);
    const levels = own === "\t" ? indent.length : Math.floor(indent.length / own.length);
    const left = own === "\t" ? "" : " ".repeat(indent.length % own.length);
    return unit.repeat(levels) + left + line.slice(indent.length);
  });
}

function depth(line: string): number {
  return indentOf(line).length;
}

function isText(line: string): boolean {
  return line.trim() !== "";
}
