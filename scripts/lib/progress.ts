import process from "node:process";

/** One line of progress on standard error: rewritten in place on a terminal, a new line every ten seconds elsewhere. */
export class Progress {
  private readonly start = Date.now();
  private shown = 0;
  private readonly live = process.stderr.isTTY === true;

  constructor(private readonly title: string) {
    process.stderr.write(this.live ? title : `${title}…\n`);
  }

  /** @param detail what is going on now, short @param fraction 0..1 where known */
  update(detail: string, fraction?: number): void {
    const now = Date.now();
    if (now - this.shown < (this.live ? 100 : 10_000)) return;
    this.shown = now;
    const percent = fraction === undefined ? "" : ` ${Math.floor(fraction * 100)} %`;
    const line = `${this.title}:${percent} ${detail}`.slice(0, this.live ? (process.stderr.columns ?? 80) - 12 : 200);
    process.stderr.write(this.live ? `\r\x1b[2K${line} (${this.seconds()})` : `  ${line} (${this.seconds()})\n`);
  }

  done(result = "done"): void {
    process.stderr.write(`${this.live ? "\r\x1b[2K" : ""}${this.title}: ${result} (${this.seconds()})\n`);
  }

  private seconds(): string {
    const s = Math.round((Date.now() - this.start) / 1000);
    return s < 60 ? `${s} s` : `${Math.floor(s / 60)} min ${s % 60} s`;
  }
}
