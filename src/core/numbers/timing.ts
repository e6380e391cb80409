import { random } from "./random.js";

const RESAMPLES = 2000;

/** The p-quantile, linear between neighbours (simple-statistics' takes the nearest value); NaN of nothing. */
export function quantile(values: readonly number[], p: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const at = p * (sorted.length - 1);
  const low = sorted[Math.floor(at)] ?? Number.NaN;
  const high = sorted[Math.ceil(at)] ?? Number.NaN;
  return low + (high - low) * (at - Math.floor(at));
}

/** What a latency is reported by. */
export interface Spread {
  p50: number;
  p95: number;
  max: number;
}

export function spread(values: readonly number[]): Spread {
  return { p50: quantile(values, 0.5), p95: quantile(values, 0.95), max: quantile(values, 1) };
}

/**
 * Speed that is left: median time without over median time with, and its 95 % interval by resampling rounds. A round holds one time of each,
 * taken one after the other, so rounds are drawn whole.
 */
export function ratioOfMedians(without: readonly number[], withIt: readonly number[]): { ratio: number; interval: [number, number] } {
  const ratioOf = (rounds: readonly number[]) => {
    const median = (times: readonly number[]) =>
      quantile(
        rounds.map((round) => times[round] ?? Number.NaN),
        0.5,
      );
    return median(without) / median(withIt);
  };
  const all = without.map((_, round) => round);
  const next = random(1);
  const resampled = Array.from({ length: RESAMPLES }, () => ratioOf(all.map(() => Math.floor(next() * all.length))));
  return { ratio: ratioOf(all), interval: [quantile(resampled, 0.025), quantile(resampled, 0.975)] };
}
