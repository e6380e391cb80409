/** Values to places on a colour scale. */

/** The smallest attention that a log scale tells from none. */
export const LOG_FLOOR = 1e-4;

export interface Scale {
  kind: "linear" | "log";
  /** The value drawn in the last colour; above 0. */
  max: number;
}

/** Place of a value on the scale, 0..1; values at or below 0 (below LOG_FLOOR on a log scale) are at 0, NaN stays NaN. */
export function place(value: number, scale: Scale): number {
  if (scale.kind === "linear") return Math.min(1, Math.max(0, value / scale.max));
  if (value <= LOG_FLOOR) return 0;
  return Math.min(1, Math.log(value / LOG_FLOOR) / Math.log(Math.max(scale.max, LOG_FLOOR * 1.001) / LOG_FLOOR));
}

/** Index 0..255 into a palette; -1 for NaN. */
export function paletteIndex(value: number, scale: Scale): number {
  const at = place(value, scale);
  return Number.isNaN(at) ? -1 : Math.round(at * 255);
}

/** Index 0..255 into a diverging palette, where `max` is the strength of both ends; -1 for NaN. */
export function divergingIndex(value: number, scale: Scale): number {
  const at = place(Math.abs(value), scale);
  return Number.isNaN(at) ? -1 : Math.round((value < 0 ? (1 - at) / 2 : (1 + at) / 2) * 255);
}

/** Least distance of two labels on a legend, as a share of its length; the last one ends at its mark instead of standing around it. */
const LABEL_DISTANCE = 0.3;
const LAST_LABEL_DISTANCE = 0.46;

/** Values worth a label on a legend of this scale, ascending, no two so close that their labels would touch. */
export function ticks(scale: Scale): number[] {
  if (scale.kind === "linear") return [0, scale.max / 2, scale.max];
  const shown = [scale.max];
  for (const power of [1e-1, 1e-2, 1e-3, LOG_FLOOR]) {
    const least = shown.length === 1 ? LAST_LABEL_DISTANCE : LABEL_DISTANCE;
    if (power < scale.max && place(shown[0] as number, scale) - place(power, scale) >= least) shown.unshift(power);
  }
  return shown;
}

/** The largest finite value, or `least` where there is none above it; `least` keeps a flat picture from being noise blown up. */
export function largest(values: ArrayLike<number>, least = 1e-6): number {
  let max = least;
  for (let index = 0; index < values.length; index++) {
    const value = values[index] as number;
    if (value > max) max = value;
  }
  return max;
}

/**
 * The value that all but the given share of the positive values stay under, within 0.1 % of the largest: a picture's scale is then not
 * set by a few cells, such as the first query, which can only look at itself.
 */
export function robustMax(values: ArrayLike<number>, above = 0.005, least = 1e-6): number {
  const max = largest(values, least);
  const bins = new Uint32Array(1024);
  let count = 0;
  for (let index = 0; index < values.length; index++) {
    const value = values[index] as number;
    if (!(value > 0)) continue;
    count++;
    const bin = Math.min(1023, Math.floor((value / max) * 1024));
    bins[bin] = (bins[bin] as number) + 1;
  }
  let over = 0;
  for (let bin = 1023; bin >= 0; bin--) {
    over += bins[bin] as number;
    if (over > count * above) return ((bin + 1) / 1024) * max;
  }
  return max;
}

/** Attention as a person reads it: 0.31, 0.0042, 3.1e-5. */
export function readable(value: number): string {
  if (Number.isNaN(value)) return "none";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 0.001) return value.toFixed(size >= 0.1 ? 3 : 4);
  return value.toExponential(1);
}
