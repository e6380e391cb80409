import type { Calibration } from "../../protocol/calibration.js";
import type { NativeContext } from "../native/native.js";
import { cancelled, type Turn } from "../queue.js";

/** Where a decode begins above the first layer: that layer's saved input, [tokens][embedding width]. */
export interface Restart {
  layer: number;
  input: Float32Array;
}

/** The same tokens in several sequences of a context, each with its own head set: one decode, one segment each. */
export class SetBatch {
  constructor(
    readonly context: NativeContext,
    private readonly turn: Turn,
  ) {}

  /** Most sequences side by side for a prompt of this many tokens. */
  width(tokens: number): number {
    const { sequences, ubatch } = this.context.options;
    return Math.max(1, Math.min(sequences, Math.floor(ubatch / tokens)));
  }

  /** Empties the first sequences and gives each its calibration. */
  begin(calibrations: readonly (Calibration | null)[]): void {
    calibrations.forEach((calibration, s) => {
      this.context.removeCells(s, -1);
      this.context.setCalibration(s, calibration);
      this.context.beginPrefill(s);
    });
  }

  /** Logits are kept of the last token of each sequence, and of all tokens where `all`. False when stopped. */
  async decode(
    tokens: readonly number[],
    position: number,
    count: number,
    stop: AbortSignal,
    all = false,
    restart?: Restart,
  ): Promise<boolean> {
    const n = tokens.length;
    const outputs = new Uint8Array(n * count);
    if (all) outputs.fill(1);
    else for (let s = 1; s <= count; s++) outputs[s * n - 1] = 1;
    const repeated = (value: (index: number) => number) => Int32Array.from({ length: n * count }, (_, i) => value(i));
    let embeddings: Float32Array | undefined;
    if (restart) {
      embeddings = new Float32Array(restart.input.length * count);
      for (let s = 0; s < count; s++) embeddings.set(restart.input, s * restart.input.length);
    }
    return await this.context.decode(
      {
        tokens: repeated((i) => tokens[i % n] as number),
        positions: repeated((i) => position + (i % n)),
        sequences: repeated((i) => Math.floor(i / n)),
        outputs,
        ...(restart && embeddings ? { firstLayer: restart.layer, embeddings } : {}),
      },
      stop,
    );
  }

  /** Logits by sequence, of its last token or of all its tokens. */
  async logits(tokens: number, count: number, all = false): Promise<Float32Array[][]> {
    const rows: Float32Array[][] = [];
    for (let s = 0; s < count; s++) {
      const own: Float32Array[] = [];
      for (let t = all ? 0 : tokens - 1; t < tokens; t++) own.push(await this.context.logits(s * tokens + t));
      rows.push(own);
    }
    return rows;
  }

  /** One prompt under several calibrations: the last token's logits of each. */
  async prompt(tokens: readonly number[], calibrations: readonly (Calibration | null)[], signal: AbortSignal): Promise<Float32Array[]> {
    const results: Float32Array[] = [];
    const width = this.width(tokens.length);
    for (let at = 0; at < calibrations.length; at += width) {
      const part = calibrations.slice(at, at + width);
      await this.untilDone(signal, async (stop) => {
        this.begin(part);
        return await this.decode(tokens, 0, part.length, stop);
      });
      results.push(...(await this.logits(tokens.length, part.length)).map(([row]) => row as Float32Array));
    }
    return results;
  }

  /** Runs work, and again where it was given up for somebody else's sake. */
  async untilDone(signal: AbortSignal, work: (stop: AbortSignal) => Promise<boolean>): Promise<void> {
    for (;;) {
      await this.turn.pause();
      if (signal.aborted) throw cancelled();
      // Not AbortSignal.any: thousands of those on one long-lived signal are kept by it for as long as it lives.
      const stop = new AbortController();
      const give = () => stop.abort();
      const sources = [signal, this.turn.preempted];
      for (const source of sources) source.addEventListener("abort", give, { once: true });
      try {
        if (await work(stop.signal)) return;
      } finally {
        for (const source of sources) source.removeEventListener("abort", give);
      }
      if (signal.aborted) throw cancelled();
    }
  }
}
