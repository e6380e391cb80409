import { CLOSING, indentOf, indentWidth, type LanguageRules, opensBlock } from "./language.js";

interface IndentationContext {
  prefix: string;
  suffix: string;
  rules: LanguageRules;
  indentation: "tabs" | "spaces";
  tabSize: number;
}

/** The cursor may already stand behind the indentation; the file may use the other kind of blank. */
export function keepIndentation(text: string, context: IndentationContext): string {
  const line = context.prefix.slice(context.prefix.lastIndexOf("\n") + 1);
  let body = text;
  if (line !== "" && line.trim() === "") body = onFreshLine(body, line, context);
  else if (/\S[ \t]$/.test(line) && /^[ \t]\S/.test(body) && !isMeant(body, line, context)) body = body.slice(1);
  return converted(body, context);
}

/** The answer may repeat the indentation that stands before the cursor, or bring what is missing of it: what fits the lines around is taken. */
function onFreshLine(body: string, line: string, context: IndentationContext): string {
  const lead = indentOf(body);
  // Who repeats it repeats all of it.
  if (lead.length < line.length || !lead.startsWith(line) || body.startsWith("\n", lead.length)) return body;
  const missing = lead.slice(line.length);
  const [above, below] = neighbours(context);
  const width = (one: string) => indentWidth(indentOf(one), context.tabSize);
  const step = opensBlock(above, context.rules) ? context.tabSize : /^\s*[-*] /.test(above) ? 2 : 0;
  const closes = CLOSING.test(body);
  const usual = [
    width(above) + step - (closes ? context.tabSize : 0),
    // A closing line below stands one step out.
    width(below) + (CLOSING.test(below) ? context.tabSize : 0),
  ];
  const fits = [line + lead, line + missing].map((one) => usual.includes(width(one)));
  // Where both fit, or neither, a cursor that stands where lines begin has its indentation.
  const whole = fits[0] === fits[1] ? !usual.includes(width(line)) : fits[0];
  return (whole ? lead : missing) + body.slice(lead.length);
}

/** A second blank before the answer: what a model begins a word with, unless the blanks part sentences, stand before a comment, or align columns. */
function isMeant(body: string, line: string, context: IndentationContext): boolean {
  const column = line.length + 1;
  const aligned = neighbours(context).some((one) => /\s/.test(one.charAt(column - 1)) && /\S/.test(one.charAt(column)));
  return /[.!?:]\s$/.test(line) || startsComment(body, context.rules) || aligned;
}

/** The lines that say something above and below the cursor's. */
function neighbours({ prefix, suffix }: IndentationContext): [string, string] {
  const above = prefix.split("\n").slice(0, -1);
  const below = suffix.split("\n").slice(1);
  const says = (line: string) => line.trim() !== "";
  return [above.findLast(says) ?? "", below.find(says) ?? ""];
}

function startsComment(body: string, { lineComment, blockComment }: LanguageRules): boolean {
  const text = body.trimStart();
  return (lineComment !== null && text.startsWith(lineComment)) || (blockComment !== null && text.startsWith(blockComment[0]));
}

/** The answer's lines behind the first get the file's kind of indentation where the file has none of theirs. */
function converted(body: string, { prefix, suffix, indentation, tabSize }: IndentationContext): string {
  const [first = "", ...rest] = body.split("\n");
  const foreign = indentation === "tabs" ? /^ {2}/ : /^\t/;
  const indented = rest.filter((line) => /^\s+\S/.test(line));
  const inFile = new RegExp(foreign.source, "m");
  if (!indented.every((line) => foreign.test(line)) || inFile.test(prefix) || inFile.test(suffix)) return body;
  return [first, ...rest.map((line) => convertIndent(line, indentation, tabSize))].join("\n");
}

function convertIndent(line: string, to: "tabs" | "spaces", tabSize: number): string {
  const lead = indentOf(line);
  if (to === "spaces") return lead.replaceAll("\t", " ".repeat(tabSize)) + line.slice(lead.length);
  return lead.replaceAll(" ".repeat(tabSize), "\t") + line.slice(lead.length);
}
