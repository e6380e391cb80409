/** The layers x heads grid as rasters: one pixel per head (sink mass), or a strip of pooled column means per head. Pure. */
import { maxPool } from "../../src/core/sinks/pixels.js";
import type { SinkData } from "../../src/core/sinks/values.js";

/** Pixels along a head's strip. */
export const STRIP = 24;

/** Column means pooled to `strip` pixels a head: [layer][head][bin], that is layers rows of heads x strip pixels. A short prompt gets a bin per token. */
export function strips(data: SinkData, strip = STRIP): { values: Float32Array; width: number; height: number } {
  const keys = data.tokens.length;
  const bins = Math.max(1, Math.min(strip, keys));
  return { values: maxPool(data.columnMeans, data.layers * data.heads, keys, bins), width: data.heads * bins, height: data.layers };
}

/** The same with the initial sink of every head left out, so that it does not drown the rest. */
export function withoutInitial(data: SinkData, exempt: (layer: number, head: number) => number | null): SinkData {
  const columnMeans = data.columnMeans.slice();
  for (let layer = 0; layer < data.layers; layer++) {
    for (let head = 0; head < data.heads; head++) {
      const key = exempt(layer, head);
      if (key !== null) columnMeans[(layer * data.heads + head) * data.tokens.length + key] = 0;
    }
  }
  return { ...data, columnMeans };
}
