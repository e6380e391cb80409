/** What the completion rules need to know about a language: how blocks are made, what starts a comment, what quotes a string. */
export interface LanguageRules {
  /** `brace`: a block ends with its bracket; `indent`: where the indentation falls back; `text`: prose, no blocks. */
  blocks: "brace" | "indent" | "text";
  lineComment: string | null;
  blockComment: [string, string] | null;
  quotes: string[];
}

const slashes = { blocks: "brace", lineComment: "//", blockComment: ["/*", "*/"], quotes: ['"', "'"] } satisfies LanguageRules;
const script = { ...slashes, quotes: ['"', "'", "`"] } satisfies LanguageRules;
const hash = { blocks: "indent", lineComment: "#", blockComment: null, quotes: ['"', "'"] } satisfies LanguageRules;
const prose = { blocks: "text", lineComment: null, blockComment: null, quotes: [] } satisfies LanguageRules;
const markup = { blocks: "indent", lineComment: null, blockComment: ["<!--", "-->"], quotes: ['"'] } satisfies LanguageRules;

/** By VS Code's language identifiers. What is not listed is read like C: most languages are. */
const languages: Record<string, LanguageRules> = {
  javascript: script,
  javascriptreact: script,
  typescript: script,
  typescriptreact: script,
  go: script,
  // A lone ' is a lifetime in Rust and a prime in Haskell: not a quote to be balanced.
  rust: { ...slashes, quotes: ['"'] },
  python: { ...hash, quotes: ['"""', "'''", '"', "'"] },
  yaml: hash,
  coffeescript: hash,
  nim: hash,
  ruby: hash,
  elixir: hash,
  makefile: hash,
  shellscript: { ...hash, blocks: "indent" },
  dockerfile: { ...hash, blocks: "text" },
  toml: { ...hash, blocks: "text" },
  ini: { ...hash, lineComment: ";", blocks: "text" },
  r: { ...hash, blocks: "brace" },
  perl: { ...hash, blocks: "brace" },
  lua: { ...hash, lineComment: "--" },
  sql: { ...hash, lineComment: "--", blockComment: ["/*", "*/"] },
  haskell: { blocks: "indent", lineComment: "--", blockComment: ["{-", "-}"], quotes: ['"'] },
  html: markup,
  xml: markup,
  vue: markup,
  svelte: markup,
  css: { ...slashes, lineComment: null },
  json: { ...slashes, quotes: ['"'] },
  jsonc: { ...slashes, quotes: ['"'] },
  markdown: prose,
  plaintext: prose,
  latex: { ...prose, lineComment: "%" },
};

export function rulesFor(languageId: string): LanguageRules {
  return languages[languageId] ?? slashes;
}

const PAIRS: Record<string, string> = { ")": "(", "]": "[", "}": "{" };

export interface Bracket {
  char: string;
  /** Index in the scanned text. */
  at: number;
}

export interface BracketBalance {
  /** Openers that nothing closes, outermost first. */
  open: Bracket[];
  /** Closers that nothing opened, in order. */
  close: Bracket[];
}

/** Unmatched brackets outside strings and comments. A quote that is never closed ends with its line, so that one apostrophe costs one line. */
export function balance(text: string, rules: LanguageRules): BracketBalance {
  const open: Bracket[] = [];
  const close: Bracket[] = [];
  for (let i = 0; i < text.length; ) {
    const skipped = skipQuoted(text, i, rules);
    if (skipped > i) {
      i = skipped;
      continue;
    }
    const char = text[i] as string;
    if (char === "(" || char === "[" || char === "{") open.push({ char, at: i });
    const opener = PAIRS[char];
    if (opener) {
      if (open.at(-1)?.char === opener) open.pop();
      else close.push({ char, at: i });
    }
    i++;
  }
  return { open, close };
}

/** Index behind the string or comment that starts at `i`, or `i`. */
function skipQuoted(text: string, i: number, rules: LanguageRules): number {
  if (rules.lineComment && text.startsWith(rules.lineComment, i)) return lineEnd(text, i);
  if (rules.blockComment && text.startsWith(rules.blockComment[0], i)) {
    const end = text.indexOf(rules.blockComment[1], i + rules.blockComment[0].length);
    return end < 0 ? text.length : end + rules.blockComment[1].length;
  }
  const quote = rules.quotes.find((q) => text.startsWith(q, i));
  if (!quote) return i;
  const multiline = quote.length > 1 || quote === "`";
  const limit = multiline ? text.length : lineEnd(text, i);
  for (let j = i + quote.length; j < limit; j++) {
    if (text[j] === "\\") j++;
    else if (text.startsWith(quote, j)) return j + quote.length;
  }
  return limit;
}

function lineEnd(text: string, from: number): number {
  const end = text.indexOf("\n", from);
  return end < 0 ? text.length : end;
}

export function isOpenerOf(opener: string, closer: string): boolean {
  return PAIRS[closer] === opener;
}

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
