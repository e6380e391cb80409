/**
 * Turns generated tokens into text that may be shown at once: never half of a character that spans several tokens, and never the beginning
 * of a stop string.
 */
export class TextStream {
  /** Tokens whose text is not settled yet, behind `settled` tokens that only give the detokeniser its context. */
  private tokens: number[] = [];
  private settled = 0;
  private held = "";
  private shown = "";
  private stopped = false;

  /**
   * @param detokenize text of a token list; half characters come out as U+FFFD
   * @param stops generation ends before the first of these; they are not part of the text
   */
  constructor(
    private readonly detokenize: (tokens: readonly number[]) => string,
    private readonly stops: readonly string[] = [],
  ) {}

  /** All text released so far. */
  get text(): string {
    return this.shown;
  }

  /** Takes the next token; returns the text it releases (may be empty) and whether a stop string ended the generation. */
  push(token: number): { text: string; stopped: boolean } {
    this.tokens.push(token);
    const before = this.detokenize(this.tokens.slice(0, this.settled));
    const after = this.detokenize(this.tokens);
    // A character is at most four bytes long: what is still broken after four tokens is really invalid and shown as it is.
    if (after.endsWith("\uFFFD") && this.tokens.length - this.settled < 4) return { text: "", stopped: false };
    const text = after.startsWith(before) ? after.slice(before.length) : this.detokenize(this.tokens.slice(this.settled));
    this.tokens = this.tokens.slice(-4);
    this.settled = this.tokens.length;
    return this.release(text);
  }

  /** The end of the generation: everything held back. */
  end(): string {
    if (this.stopped) return "";
    const before = this.detokenize(this.tokens.slice(0, this.settled));
    const rest = this.settled < this.tokens.length ? this.detokenize(this.tokens).slice(before.length) : "";
    const released = this.release(rest);
    const text = released.stopped ? released.text : released.text + this.held;
    if (!released.stopped) this.shown += this.held;
    this.held = "";
    return text;
  }

  private release(text: string): { text: string; stopped: boolean } {
    const candidate = this.held + text;
    const hits = this.stops.map((stop) => candidate.indexOf(stop)).filter((at) => at >= 0);
    this.stopped = hits.length > 0;
    const keep = this.stopped ? candidate.length - Math.min(...hits) : Math.max(0, ...this.stops.map((stop) => overlap(candidate, stop)));
    const out = candidate.slice(0, candidate.length - keep);
    this.held = this.stopped ? "" : candidate.slice(candidate.length - keep);
    this.shown += out;
    return { text: out, stopped: this.stopped };
  }
}

/** Length of the longest proper beginning of `stop` that `text` ends with. */
export function overlap(text: string, stop: string): number {
  for (let length = Math.min(stop.length - 1, text.length); length > 0; length--) if (text.endsWith(stop.slice(0, length))) return length;
  return 0;
}
