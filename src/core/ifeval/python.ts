/** What Python's str and re mean, where JavaScript's differ: IFEval's official checker is written in it. */

/** Members of \s, for use inside brackets. */
export const SPACE = "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
/** Members of \w. */
export const WORD = "\\p{L}\\p{N}_";
/** \b */
export const BOUNDARY = `(?:(?<=[${WORD}])(?![${WORD}])|(?<![${WORD}])(?=[${WORD}]))`;

const EDGES = new RegExp(`^[${SPACE}]+|[${SPACE}]+$`, "g");
const SPACES = new RegExp(`[${SPACE}]+`);

export const strip = (text: string) => text.replace(EDGES, "");
export const isBlank = (text: string) => strip(text) === "";
/** Words between white space. */
export const split = (text: string) => strip(text).split(SPACES);

/** There is a letter with a case, and all of those are capitals. */
export const isUpper = (text: string) => /\p{Uppercase}/u.test(text) && !/[\p{Lowercase}\p{Lt}]/u.test(text);
export const isLower = (text: string) => /\p{Lowercase}/u.test(text) && !/[\p{Uppercase}\p{Lt}]/u.test(text);

/** A pattern that a prompt brings along; where it is no regular expression it is taken letter by letter. */
export function pattern(source: string, around: (source: string) => string = (same) => same, flags = "iu"): RegExp {
  try {
    return new RegExp(around(source), flags);
  } catch {
    return new RegExp(around(source.replace(/[.*+?^${}()|[\]\\/-]/g, "\\$&")), flags);
  }
}
