import { frontCut, shares } from "./budget.js";

/**
 * The prompt of a fill-in-the-middle request, as token lists. Pure: the tokenizer comes as functions.
 *
 * With the model's own fill-in tokens:   [context files] [file header] PREFIX prefix SUFFIX suffix MIDDLE
 * Without them, the prefix form:         [context files] [file header] prefix
 *
 * Everything that changes slowly stands first, so that the cache of the request before can be taken over up to what was typed since.
 * Cuts move in steps for the same reason: a window that slides with every key would change every position.
 */
export interface InfillVocabulary {
  tokenize(text: string): number[];
  /** Begin-of-text token where the model wants one. */
  bos: number | null;
  infill: { prefix: number; suffix: number; middle: number } | null;
  /** Token that starts a file's part, followed by its path and a newline; null where the model has none. */
  fileSeparator: number | null;
}

export interface InfillSource {
  prefix: string;
  suffix: string;
  path?: string;
  /** Least relevant first; dropped from the front when the budget is short. */
  context?: readonly { path: string; text: string }[];
}

export interface InfillPrompt {
  tokens: number[];
  form: "fill-in-the-middle" | "prefix";
  /** Context chunks that did not fit. */
  dropped: number;
}

/** More characters a token than this are rare; text beyond is not even tokenised. */
const MOST_CHARACTERS_PER_TOKEN = 8;

/** @param budget most tokens of the prompt, at least 16 */
export function infillPrompt(source: InfillSource, vocabulary: InfillVocabulary, budget: number): InfillPrompt {
  const { tokenize, infill, fileSeparator } = vocabulary;
  const named = fileSeparator !== null && source.path !== undefined ? [fileSeparator, ...tokenize(`${source.path}\n`)] : [];
  // A long path gives way to the text around the cursor.
  const header = named.length <= budget / 4 ? named : [];
  const fixed = (vocabulary.bos === null ? 0 : 1) + header.length + (infill ? 3 : 0);
  const room = Math.max(1, budget - fixed);

  const most = room * MOST_CHARACTERS_PER_TOKEN;
  const suffixAll = infill ? tokenize(wellFormed(source.suffix.slice(0, most))) : [];
  const prefixAll = tokenize(wellFormed(source.prefix.slice(frontCut(source.prefix.length, most))));
  const share = shares(room, prefixAll.length, suffixAll.length);
  const suffix = suffixAll.slice(0, share.after);
  const prefix = prefixAll.slice(frontCut(prefixAll.length, share.before));

  let left = room - prefix.length - suffix.length;
  const chunks: number[][] = [];
  const context = source.context ?? [];
  for (const chunk of context.toReversed()) {
    const tokens = chunkTokens(chunk, vocabulary);
    if (tokens.length > left) break;
    left -= tokens.length;
    chunks.unshift(tokens);
  }
  const before = [...(vocabulary.bos === null ? [] : [vocabulary.bos]), ...chunks.flat(), ...header];
  return {
    tokens: infill ? [...before, infill.prefix, ...prefix, infill.suffix, ...suffix, infill.middle] : [...before, ...prefix],
    form: infill ? "fill-in-the-middle" : "prefix",
    dropped: context.length - chunks.length,
  };
}

function chunkTokens({ path, text }: { path: string; text: string }, { tokenize, fileSeparator }: InfillVocabulary): number[] {
  const body = text.endsWith("\n") ? text : `${text}\n`;
  return fileSeparator === null ? tokenize(`${body}\n`) : [fileSeparator, ...tokenize(`${path}\n${body}`)];
}

/** A cut may fall between two surrogates; half a character is dropped rather than sent. */
function wellFormed(text: string): string {
  const start = /^[\uDC00-\uDFFF]/.test(text) ? 1 : 0;
  const end = /[\uD800-\uDBFF]$/.test(text) ? text.length - 1 : text.length;
  return text.slice(start, end);
}
