import type { CursorText } from "../../core/completion/extent.js";

interface Work {
  key: string;
  abort: AbortController;
  /** Whether there is something to show at the place. */
  done: Promise<boolean>;
}

/** The suggestion behind the one that is shown, computed as if that were accepted. One at a time; a request for another place ends it. */
export class Ahead {
  private work: Work | null = null;

  /** @param find computes and keeps the suggestion; answers whether there is one */
  start(cursor: CursorText, find: (signal: AbortSignal) => Promise<boolean>): void {
    const key = keyOf(cursor);
    if (this.work?.key === key) return;
    this.stop();
    const abort = new AbortController();
    const work: Work = { key, abort, done: Promise.resolve(true) };
    // What fails here fails again, and is told, when it is asked for.
    work.done = find(abort.signal).catch(() => {
      if (this.work === work) this.work = null;
      return true;
    });
    this.work = work;
  }

  /** Waits for what is computed for this place: whether there is something; null where nothing was computed for it. */
  async at(cursor: CursorText): Promise<boolean | null> {
    return this.work?.key === keyOf(cursor) ? await this.work.done : null;
  }

  stop(): void {
    this.work?.abort.abort();
    this.work = null;
  }
}

/** A place by the text nearest to it: what is far away may be cut elsewhere. */
function keyOf({ prefix, suffix }: CursorText): string {
  return JSON.stringify([prefix.slice(-1000), suffix.slice(0, 200)]);
}
