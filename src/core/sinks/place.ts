/** Where the tokens of a prompt stand in the text that it was made of. Pure. */

/** Half-open range of UTF-16 units. */
export type TextRange = readonly [number, number];

/**
 * Finds each prompt token in `source`, of which the prompt holds a part that reaches to the end (a completion's prefix is cut at its far
 * end) together with other things (control tokens, related files). A token that is not part of it, or that holds half a character,
 * gets null.
 */
export function placeTokens(tokens: readonly string[], source: string): (TextRange | null)[] {
  const starts: number[] = [];
  let prompt = "";
  for (const token of tokens) {
    starts.push(prompt.length);
    prompt += token;
  }
  const part = longestTail(prompt, source);
  if (!part) return tokens.map(() => null);
  return tokens.map((token, index) => {
    const from = (starts[index] as number) - part.inPrompt + part.inSource;
    const inside = (starts[index] as number) >= part.inPrompt && from + token.length <= source.length;
    return inside && token !== "" && source.startsWith(token, from) ? [from, from + token.length] : null;
  });
}

/** Where the longest tail of `source` that `prompt` holds begins, in both. */
function longestTail(prompt: string, source: string): { inPrompt: number; inSource: number } | null {
  let low = 0;
  let high = source.length;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (prompt.includes(source.slice(source.length - middle))) low = middle;
    else high = middle - 1;
  }
  return low === 0 ? null : { inPrompt: prompt.lastIndexOf(source.slice(source.length - low)), inSource: source.length - low };
}
