import { columnLimit } from "../../core/act.js";
import { sinksAt } from "../../core/sinks/values.js";
import type { Calibration, Head, Threshold } from "../../protocol/calibration.js";
import type { HeadSinks } from "../../protocol/engine.js";
import type { ColumnMeans, NativeContext } from "../native/native.js";
import { cancelled } from "../queue.js";

/** Evaluates `tokens` behind the `start` tokens that sequence 0 of a segment context holds, in one decode; the last one's logits are kept. */
export async function decodeSegment(context: NativeContext, tokens: readonly number[], start: number, signal: AbortSignal): Promise<void> {
  const n = tokens.length;
  const outputs = new Uint8Array(n);
  outputs[n - 1] = 1;
  const batch = {
    tokens: Int32Array.from(tokens),
    positions: Int32Array.from(tokens, (_, i) => start + i),
    sequences: new Int32Array(n),
    outputs,
  };
  if (!(await context.decode(batch, signal))) throw cancelled();
}

/** Starts sequence 0 of a segment context anew under a calibration. */
export function beginSegment(context: NativeContext, calibration: Calibration | null): void {
  context.removeCells(0, -1);
  context.setCalibration(0, calibration);
  context.beginPrefill(0);
}

/** Candidates and sinks of the given heads at a threshold, from captured column means. */
export function sinksOfMeans({ heads, keys, columnMeans }: ColumnMeans, which: readonly Head[], threshold: Threshold): HeadSinks[] {
  const limit = columnLimit(threshold, keys);
  return which.map(([layer, head]) => {
    const start = (layer * heads + head) * keys;
    return { layer, head, ...sinksAt(columnMeans.subarray(start, start + keys), limit) };
  });
}
