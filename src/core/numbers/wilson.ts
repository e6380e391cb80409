import { type Interval, zOf } from "./paired.js";

/** Wilson's (1927) interval of a share of `n`; it is never a point, and nothing is known of a share of none. */
export function wilson(share: number, n: number, level = 0.95): Interval {
  if (n === 0) return [0, 1];
  const z2 = zOf(level) ** 2;
  const middle = (share + z2 / (2 * n)) / (1 + z2 / n);
  const half = (Math.sqrt(z2) / (1 + z2 / n)) * Math.sqrt((share * (1 - share)) / n + z2 / (4 * n * n));
  return [Math.max(0, middle - half), Math.min(1, middle + half)];
}
