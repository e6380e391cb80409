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

/** Of the tokens left for prefix and suffix, the part the prefix may take when both are long. */
const PREFIX_SHARE = 0.75;
/** Cuts are multiples of this many tokens (and of 8 times as many characters before tokenising). */
export const CUT_STEP = 64;
/** More characters a token than this are rare; text beyond is not even tokenised. */
const CHARACTERS_PER_TOKEN = 8;

/** @param budget most tokens of the prompt, at least 16 */
export function infillPrompt(source: InfillSource, vocabulary: InfillVocabulary, budget: number): InfillPrompt {
  const { tokenize, infill, fileSeparator } = vocabulary;
  const header = fileSeparator !== null && source.path !== undefined ? [fileSeparator, ...tokenize(`${source.path}\n`)] : [];
  const fixed = (vocabulary.bos === null ? 0 : 1) + header.length + (infill ? 3 : 0);
  const room = Math.max(1, budget - fixed);

  const suffixAll = infill ? tokenize(head(source.suffix, room * CHARACTERS_PER_TOKEN)) : [];
  const prefixAll = tokenize(tail(source.prefix, room * CHARACTERS_PER_TOKEN));
  // What one side does not need, the other may have.
  const suffixShare = Math.max(room - Math.floor(room * PREFIX_SHARE), room - prefixAll.length);
  const suffix = suffixAll.slice(0, suffixShare);
  const prefix = cutFront(prefixAll, room - suffix.length);

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

/** The last tokens, at most `most`, with the cut at a multiple of the step. */
function cutFront(tokens: number[], most: number): number[] {
  if (tokens.length <= most) return tokens;
  const over = tokens.length - most;
  const cut = Math.ceil(over / CUT_STEP) * CUT_STEP;
  return tokens.slice(cut < tokens.length ? cut : over);
}

/** The end of a text, from the start of a line, about `most` characters. */
function tail(text: string, most: number): string {
  if (text.length <= most) return text;
  const step = CUT_STEP * CHARACTERS_PER_TOKEN;
  const cut = Math.ceil((text.length - most) / step) * step;
  const line = text.indexOf("\n", cut);
  return wellFormed(line >= 0 && line < cut + step ? text.slice(line + 1) : text.slice(cut));
}

function head(text: string, most: number): string {
  return wellFormed(text.slice(0, most));
}

/** A cut may fall between two surrogates; half a character is dropped rather than sent. */
function wellFormed(text: string): string {
  const start = /^[\uDC00-\uDFFF]/.test(text) ? 1 : 0;
  const end = /[\uD800-\uDBFF]$/.test(text) ? text.length - 1 : text.length;
  return text.slice(start, end);
}
