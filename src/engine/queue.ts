import { setImmediate } from "node:timers/promises";
import { ActError } from "../protocol/errors.js";

/** Who goes first: what the user is typing, then what they asked, then what runs in the background. */
export type Priority = "typing" | "request" | "background";
const ORDER: readonly Priority[] = ["typing", "request", "background"];

/** Milliseconds that a computation outside the model may take before it looks whether somebody waits. */
const REST_EVERY_MS = 5;

/** What running work holds of the queue. */
export interface Turn {
  signal: AbortSignal;
  /** Milliseconds the work waited for its turn. */
  waited: number;
  /**
   * Lets work of a higher class that has arrived meanwhile run to its end, then returns. Called between tokens and between batches, with
   * nothing of the model in mid-flight. Throws `cancelled` when this work was cancelled.
   */
  pause(): Promise<void>;
  /** For pieces of a computation outside the model: every few milliseconds, sees what has arrived meanwhile and pauses for it. */
  rest(): Promise<void>;
  /** Waits for something else than the model, a disk say; work of a higher class runs meanwhile. */
  during<T>(other: Promise<T>): Promise<T>;
  /** Aborts when work of a higher class arrives: a batch in mid-flight may be given up for it, to be repeated after the next `pause`. */
  readonly preempted: AbortSignal;
}

interface Waiting {
  name: string;
  start(): Promise<void>;
}

/**
 * One queue over the model. FIFO inside a class; a lower class runs only when no higher one waits, and gives way in `Turn.pause`.
 * At most one work per class has begun at any time, so two works never touch the model at once.
 */
export class Queue {
  private readonly waiting: Record<Priority, Waiting[]> = { typing: [], request: [], background: [] };
  /** Names of begun works, the last one running, those before it paused. */
  private readonly begun: { name: string; rank: number; preempt: AbortController }[] = [];

  /** Name of the work that has the model, null when idle. */
  get busy(): string | null {
    return this.begun.at(-1)?.name ?? null;
  }

  /** Names of begun works that wait inside `pause`. */
  get paused(): string[] {
    return this.begun.slice(0, -1).map(({ name }) => name);
  }

  get queued(): number {
    return ORDER.reduce((sum, priority) => sum + this.waiting[priority].length, 0);
  }

  /** Runs `work` in its turn. Rejects with `cancelled` when `signal` aborts before the turn comes; afterwards the work itself must heed it. */
  run<T>(name: string, priority: Priority, signal: AbortSignal, work: (turn: Turn) => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(cancelled());
      const rank = ORDER.indexOf(priority);
      const arrived = performance.now();
      const leave = () => {
        const at = this.waiting[priority].indexOf(entry);
        if (at >= 0) this.waiting[priority].splice(at, 1);
        reject(cancelled());
      };
      const entry: Waiting = {
        name,
        start: async () => {
          signal.removeEventListener("abort", leave);
          const own = { name, rank, preempt: new AbortController() };
          this.begun.push(own);
          try {
            const pause = async () => {
              await this.pause(rank, signal);
              if (own.preempt.signal.aborted) own.preempt = new AbortController();
            };
            let rested = performance.now();
            const turn = {
              signal,
              waited: performance.now() - arrived,
              pause,
              rest: async () => {
                if (performance.now() - rested < REST_EVERY_MS) return;
                // A request that has come in is seen by the event loop first.
                await setImmediate();
                await pause();
                rested = performance.now();
              },
              during: async <T>(other: Promise<T>): Promise<T> => {
                let waiting = true;
                const settled = other.finally(() => {
                  waiting = false;
                });
                while (waiting) {
                  await firstOf(settled, own.preempt.signal);
                  if (waiting) await pause();
                }
                return await settled;
              },
              get preempted() {
                return own.preempt.signal;
              },
            };
            resolve(await work(turn));
          } catch (error) {
            reject(error);
          } finally {
            this.begun.pop();
          }
        },
      };
      signal.addEventListener("abort", leave, { once: true });
      this.waiting[priority].push(entry);
      for (const lower of this.begun) if (lower.rank > rank) lower.preempt.abort();
      // Only an idle queue starts by itself; otherwise the running work's end or its next pause does.
      if (this.begun.length === 0 && !this.draining) void this.drain();
    });
  }

  private draining = false;

  private async drain(): Promise<void> {
    this.draining = true;
    for (let next = this.take(ORDER.length); next; next = this.take(ORDER.length)) await next.start();
    this.draining = false;
  }

  /** The next waiting work of a class above `rank` (lower index first), or undefined. */
  private take(rank: number): Waiting | undefined {
    for (const priority of ORDER.slice(0, rank)) {
      const next = this.waiting[priority].shift();
      if (next) return next;
    }
    return undefined;
  }

  private async pause(rank: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted) throw cancelled();
    for (let next = this.take(rank); next; next = this.take(rank)) await next.start();
    if (signal.aborted) throw cancelled();
  }
}

/** Resolves when `other` has or `signal` aborts; rejects with `other`. */
async function firstOf(other: Promise<unknown>, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  let stop = () => {};
  const aborted = new Promise<void>((resolve) => {
    stop = resolve;
  });
  signal.addEventListener("abort", stop, { once: true });
  try {
    await Promise.race([other, aborted]);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

export function cancelled(): ActError {
  return new ActError("cancelled", "The request was cancelled.");
}
