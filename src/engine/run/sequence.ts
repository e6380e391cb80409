import type { Calibration } from "../../protocol/calibration.js";
import type { NativeContext } from "../native/native.js";
import { cancelled } from "../queue.js";

/** Behind a reused prefix, a calibrated prefill evaluates at least this many tokens again, so that its statistics have rows to count. */
export const CALIBRATED_REFRESH = 64;

/** What a calibration means for cached keys and values: two calibrations with equal keys share them. "" = off. */
export function calibrationKey(calibration: Calibration | null): string {
  if (!calibration || calibration.heads.length === 0) return "";
  const { method, beta, betas, threshold, statistics } = calibration;
  const heads = calibration.heads.map(([layer, head], i) => `${layer}.${head}${betas ? `x${betas[i]}` : ""}`).sort();
  return [method, betas ? "" : beta, threshold.mode, threshold.value, statistics, ...heads].join(" ");
}

/** How many leading tokens of `prompt` can be taken over from a cache that holds `cached`. The last token is always evaluated, for its logits. */
export function reusable(cached: readonly number[], prompt: readonly number[], calibrated: boolean): number {
  const most = calibrated ? prompt.length - CALIBRATED_REFRESH : prompt.length - 1;
  let common = 0;
  while (common < most && common < cached.length && cached[common] === prompt[common]) common++;
  return common;
}

/** One KV stream of a context and what is in it. */
export class Sequence {
  /** Tokens whose keys and values are in the cells, from position 0 on. */
  private cached: number[] = [];
  private key = "";

  constructor(
    private readonly context: NativeContext,
    readonly index: number,
  ) {}

  get length(): number {
    return this.cached.length;
  }

  /**
   * Evaluates a prompt, taking over the longest prefix that was filled under the same calibration. `between` runs after every ubatch.
   * Returns the tokens taken over and the index of the last token in the last decode (for `sample` and `logits`).
   * @throws ActError `cancelled`; the cells then hold the ubatches that were complete.
   */
  async prefill(
    prompt: readonly number[],
    calibration: Calibration | null,
    signal: AbortSignal,
    between: () => Promise<void> = async () => {},
  ): Promise<{ reused: number; output: number }> {
    const key = calibrationKey(calibration);
    const reused = this.key === key ? Math.max(0, reusable(this.cached, prompt, key !== "")) : 0;
    this.truncate(reused);
    const start = this.cached.length;
    if (this.key !== key) this.context.setCalibration(this.index, calibration);
    this.key = key;
    this.context.beginPrefill(this.index);
    const { ubatch } = this.context.options;
    let output = 0;
    for (let at = start; at < prompt.length; at += ubatch) {
      if (at > start) await between();
      const chunk = prompt.slice(at, at + ubatch);
      output = chunk.length - 1;
      await this.decode(chunk, at + chunk.length === prompt.length, signal);
    }
    return { reused: start, output };
  }

  /** Evaluates one generated token; its logits are at index 0. */
  async step(token: number, signal: AbortSignal): Promise<void> {
    await this.decode([token], true, signal);
  }

  /** Forgets everything from position `length` on. */
  truncate(length: number): void {
    if (length > 0 && length >= this.cached.length) return;
    const cut = length > 0 && this.context.removeCells(this.index, length);
    // Recurrent states cannot be cut: start over.
    if (!cut) this.context.removeCells(this.index, -1);
    this.cached = cut ? this.cached.slice(0, length) : [];
  }

  private async decode(tokens: readonly number[], wantLogits: boolean, signal: AbortSignal): Promise<void> {
    const n = tokens.length;
    const outputs = new Uint8Array(n);
    if (wantLogits) outputs[n - 1] = 1;
    const start = this.cached.length;
    try {
      const finished = await this.context.decode(
        {
          tokens: Int32Array.from(tokens),
          positions: Int32Array.from(tokens, (_, i) => start + i),
          sequences: new Int32Array(n).fill(this.index),
          outputs,
        },
        signal,
      );
      if (!finished) throw cancelled();
      this.cached.push(...tokens);
    } catch (error) {
      // Cells of an unfinished ubatch hold no keys and values to rely on.
      if (!this.context.removeCells(this.index, start)) this.truncate(0);
      throw error;
    }
  }
}
