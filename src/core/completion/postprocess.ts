import { balanced, withoutRestOfLine } from "./balance.js";
import { withoutNextLines, withoutPrefixEcho, withoutRepetition } from "./echo.js";
import { type CursorText, type Extent, extentAt } from "./extent.js";
import { keepIndentation } from "./indentation.js";
import { indentationOf, type LanguageRules, rulesFor } from "./language.js";

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

/** The context of an answer whose editor is not known: the indentation is read from the text around the cursor, else from the answer. */
export function fileContext(language: string, cursor: CursorText, answer: string): FilterContext {
  const unified = { prefix: cursor.prefix.replace(/\r\n?/g, "\n"), suffix: cursor.suffix.replace(/\r\n?/g, "\n") };
  const rules = rulesFor(language);
  return { ...unified, rules, extent: extentAt(unified, rules), ...indentationOf(unified.prefix + unified.suffix, answer) };
}

type Filter = (text: string, context: FilterContext) => string;

/** In this order: each relies on those before it. `bench filters` shows what each brings and costs. */
export const filters: readonly [FilterName, Filter][] = [
  ["control characters", withoutControl],
  ["code fence", withoutFence],
  ["prefix echo", withoutPrefixEcho],
  ["indentation", keepIndentation],
  ["repetition", withoutRepetition],
  ["suffix echo", (text, context) => withoutNextLines(withoutRestOfLine(text, context), context)],
  ["bracket balance", balanced],
  ["one line", oneLine],
  ["trailing blanks", withoutTrailingBlanks],
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

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is to be removed
const CONTROL = /[\u0000-\u0008\u000b\u000e-\u001f\u007f\ufffd]/g;
const SPECIAL = /<\|[a-z_]{2,30}\|>|<(?:fim_|file_sep|repo_name|end_of_turn)/i;

/** Line feeds only, no control characters that the file has not, no text forms of special tokens: all that follows one is not the answer. */
function withoutControl(text: string, { prefix, suffix }: FilterContext): string {
  const special = text.search(SPECIAL);
  // A file about such tokens has them as text.
  const body = special < 0 || SPECIAL.test(prefix) || SPECIAL.test(suffix) ? text : text.slice(0, special);
  return body.replace(/\r\n?/g, "\n").replace(CONTROL, (one) => (prefix.includes(one) || suffix.includes(one) ? one : ""));
}

const FENCE = /^[ \t]*```.*$/m;

/** A chat model ends code with a fence and goes on to explain it. Where the file has fences itself, in comments, they are text. */
function withoutFence(text: string, { rules, prefix, suffix }: Pick<FilterContext, "rules" | "prefix" | "suffix">): string {
  if (rules.blocks === "text") return text;
  const fence = FENCE.exec(text);
  if (!fence || FENCE.test(prefix) || FENCE.test(suffix)) return text;
  // An answer that begins with a fence holds its code behind it.
  if (text.slice(0, fence.index).trim() !== "") return text.slice(0, fence.index);
  return withoutFence(text.slice(fence.index + fence[0].length).replace(/^\n/, ""), { rules, prefix, suffix });
}

function oneLine(text: string, { extent, suffix }: FilterContext): string {
  const codeFollows = /^[^\n]*[^\s)\]}"'`;,:>]/.test(suffix);
  if (extent === "block" && !codeFollows) return text;
  const end = text.indexOf("\n");
  return end < 0 ? text : text.slice(0, end);
}

/** Blanks at the end go, but those that part the answer from what stands behind it on its line. */
function withoutTrailingBlanks(text: string, { suffix }: FilterContext): string {
  const bare = text.trimEnd();
  if (/^[)\]}]/.test(suffix)) {
    // `{‸}`: what began on a new line ends on one.
    const end = text
      .slice(bare.length)
      .replace(/^[ \t]+(?=\n)/, "")
      .replace(/^\n+/, "\n");
    return bare.includes("\n") && end.includes("\n") ? bare + end : bare;
  }
  return /^\S/.test(suffix) && !text.slice(bare.length).includes("\n") ? text : bare;
}
