import type { CalibrateProgress } from "../../protocol/engine.js";

/** At most ten a second. Heads of an event that was held back are told with the next one, so none is lost. */
export class ProgressThrottle {
  private last = Number.NEGATIVE_INFINITY;
  private held: CalibrateProgress | null = null;

  constructor(
    private readonly tell: (progress: CalibrateProgress) => void,
    private readonly now: () => number = () => performance.now(),
    private readonly interval = 100,
  ) {}

  add(progress: CalibrateProgress): void {
    const heads = new Map([...(this.held?.heads ?? []), ...progress.heads].map((score) => [`${score.layer},${score.head}`, score]));
    this.held = { ...progress, heads: [...heads.values()] };
    if (this.now() - this.last >= this.interval) this.flush();
  }

  /** Tells what was held back. */
  flush(): void {
    if (!this.held) return;
    this.last = this.now();
    this.tell(this.held);
    this.held = null;
  }
}
