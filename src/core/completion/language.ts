/** What the completion rules need to know about a language: how blocks are made, what starts a comment, which grammar reads it. */
export interface LanguageRules {
  /** `brace`: a block ends with its bracket; `indent`: where the indentation falls back; `text`: prose, no blocks. */
  blocks: "brace" | "indent" | "text";
  lineComment: string | null;
  blockComment: [string, string] | null;
  /** Name of the highlight.js grammar that tells brackets of code from those in strings and comments; null where brackets are no pairs. */
  grammar: string | null;
  /** A line that a block follows, besides one that ends in an opening bracket. */
  opener: RegExp | null;
}

const slashes = { blocks: "brace", lineComment: "//", blockComment: ["/*", "*/"], grammar: null, opener: null } satisfies LanguageRules;
const hash = { blocks: "indent", lineComment: "#", blockComment: null, grammar: null, opener: null } satisfies LanguageRules;
const prose = { ...hash, blocks: "text", lineComment: null } satisfies LanguageRules;
/** An element whose end is still to come. */
const TAG = /<(?!area\b|base\b|br\b|col\b|hr\b|img\b|input\b|link\b|meta\b|source\b|!|\?|\/)[\w:.-]+(?:\s[^<>]*)?(?<![/\s])>$/i;
const markup = { ...slashes, blocks: "indent", lineComment: null, blockComment: ["<!--", "-->"], opener: TAG } satisfies LanguageRules;
const withGrammar = (rules: Omit<LanguageRules, "grammar">, grammar: string): LanguageRules => ({ ...rules, grammar });

const COLON = /:$/;
const RUBY = /^\s*(def|class|module|if|unless|while|until|case|begin|for|else|elsif|when|in|rescue|ensure)\b.*$|\bdo(\s*\|[^|]*\|)?$/;
const LUA = /\b(then|do|else|repeat)$|\bfunction\b[^()]*\([^()]*\)$/;
const SHELL = /\b(then|do|else|in)$/;
const ELIXIR = /\b(do|else|after|rescue|catch)$|->$|\bfn\b.*->$/;
const HASKELL = /(\bwhere|\bdo|\bof|\blet|=|->)$/;

/** By VS Code's language identifiers. What is not listed is read like C, without its brackets: most languages are. */
const languages: Record<string, LanguageRules> = {
  javascript: withGrammar(slashes, "javascript"),
  javascriptreact: withGrammar(slashes, "javascript"),
  typescript: withGrammar(slashes, "typescript"),
  typescriptreact: withGrammar(slashes, "typescript"),
  go: withGrammar(slashes, "go"),
  rust: withGrammar(slashes, "rust"),
  c: withGrammar(slashes, "c"),
  cpp: withGrammar(slashes, "cpp"),
  "cuda-cpp": withGrammar(slashes, "cpp"),
  csharp: withGrammar(slashes, "csharp"),
  java: withGrammar(slashes, "java"),
  kotlin: withGrammar(slashes, "kotlin"),
  scala: withGrammar(slashes, "scala"),
  swift: withGrammar(slashes, "swift"),
  dart: withGrammar(slashes, "dart"),
  groovy: withGrammar(slashes, "groovy"),
  "objective-c": withGrammar(slashes, "objectivec"),
  php: withGrammar(slashes, "php"),
  css: withGrammar({ ...slashes, lineComment: null }, "css"),
  scss: withGrammar(slashes, "scss"),
  less: withGrammar(slashes, "less"),
  json: withGrammar(slashes, "json"),
  jsonc: withGrammar(slashes, "json"),
  python: withGrammar({ ...hash, opener: COLON }, "python"),
  ruby: withGrammar({ ...hash, opener: RUBY }, "ruby"),
  elixir: withGrammar({ ...hash, opener: ELIXIR }, "elixir"),
  lua: withGrammar({ ...hash, lineComment: "--", blockComment: ["--[[", "]]"], opener: LUA }, "lua"),
  r: withGrammar({ ...hash, blocks: "brace" }, "r"),
  perl: withGrammar({ ...hash, blocks: "brace" }, "perl"),
  julia: withGrammar({ ...hash, opener: RUBY }, "julia"),
  sql: withGrammar({ ...hash, lineComment: "--", blockComment: ["/*", "*/"] }, "sql"),
  haskell: { ...hash, lineComment: "--", blockComment: ["{-", "-}"], opener: HASKELL },
  yaml: { ...hash, opener: COLON },
  coffeescript: { ...hash, opener: HASKELL },
  nim: { ...hash, opener: COLON },
  makefile: { ...hash, opener: COLON },
  cmake: hash,
  shellscript: { ...hash, opener: SHELL },
  powershell: { ...hash, blocks: "brace" },
  dockerfile: { ...hash, blocks: "text" },
  toml: { ...hash, blocks: "text" },
  ini: { ...hash, lineComment: ";", blocks: "text" },
  html: markup,
  xml: markup,
  vue: markup,
  svelte: markup,
  markdown: prose,
  plaintext: prose,
  latex: { ...prose, lineComment: "%" },
};

export function rulesFor(languageId: string): LanguageRules {
  return languages[languageId] ?? slashes;
}

/** Whether a block follows a line. */
export function opensBlock(line: string, rules: LanguageRules): boolean {
  const text = line.trimEnd();
  if (/[{([]$|=>$/.test(text)) return true;
  return rules.opener?.test(text) ?? false;
}

/** A line that ends a block. */
export const CLOSING = /^\s*(?:[)\]}]|<\/|(?:end|fi|done|esac|endif|endfunction|endforeach)\b)/;

/** Leading blanks and tabs of a line. */
export function indentOf(line: string): string {
  return /^[ \t]*/.exec(line)?.[0] ?? "";
}

/** Width of an indentation in columns. */
export function indentWidth(indent: string, tabSize: number): number {
  let width = 0;
  for (const char of indent) width += char === "\t" ? tabSize - (width % tabSize) : 1;
  return width;
}

/** What a text is indented with, from its lines: the kind that most have, and the usual step. Where none is indented: as `otherwise` is. */
export function indentationOf(text: string, otherwise = ""): { indentation: "tabs" | "spaces"; tabSize: number } {
  let tabs = 0;
  let spaces = 0;
  const steps = new Map<number, number>();
  let before = 0;
  for (const line of text.split("\n")) {
    // Lines inside a comment are one off.
    if (/^\s*(\*|$)/.test(line)) continue;
    const lead = indentOf(line);
    if (lead.startsWith("\t")) tabs++;
    else if (lead !== "") spaces++;
    const step = Math.abs(lead.length - before);
    if (!lead.includes("\t") && [1, 2, 3, 4, 8].includes(step)) steps.set(step, (steps.get(step) ?? 0) + 1);
    before = lead.length;
  }
  if (tabs + spaces === 0 && otherwise !== "") return indentationOf(otherwise);
  const [usual] = [...steps].sort((a, b) => b[1] - a[1]);
  return { indentation: tabs > spaces ? "tabs" : "spaces", tabSize: tabs > spaces ? 4 : (usual?.[0] ?? 4) };
}
