/**
 * How long to wait after a key press before asking. Waiting a little longer than the user's own pause between keys avoids
 * requests that the next key cancels; waiting longer than the engine needs for an answer gains nothing.
 */
export class AdaptiveDebounce {
  private lastKey = Number.NEGATIVE_INFINITY;
  /** Running means in milliseconds; the first values are those of an average typist and a warm small model. */
  private keyGap = 160;
  private answer = 150;

  constructor(
    readonly least = 20,
    readonly most = 400,
  ) {}

  /** A key was pressed at `now` (ms). Pauses for thought say nothing about typing speed. */
  key(now: number): void {
    const gap = now - this.lastKey;
    this.lastKey = now;
    if (gap > 0 && gap < 1000) this.keyGap += (gap - this.keyGap) * 0.2;
  }

  /** The engine answered after `ms`. */
  answered(ms: number): void {
    if (Number.isFinite(ms) && ms >= 0) this.answer += (Math.min(ms, 5000) - this.answer) * 0.2;
  }

  /** Delay from the last key in ms. `boundary`: a new line or an opened block, where a suggestion is most welcome. */
  delay(boundary: boolean): number {
    // A fast engine may be asked often: what is lost when the next key cancels it is small.
    const cost = Math.min(1, this.answer / 400);
    const wait = this.keyGap * (0.2 + cost) * (boundary ? 0.4 : 1);
    return Math.round(Math.min(this.most, Math.max(this.least, wait)));
  }
}
