/** Paired comparisons: the same items with and without. Distribution functions and moments come from simple-statistics. */
import { erf, gammaln, mean, probit, quantileSorted, sampleVariance } from "simple-statistics";
import { integer, random } from "./random.js";

export type Interval = [low: number, high: number];

/** z of a two-sided interval at `level`. The library's probit is good to three digits only; Newton steps on its erf make it six. */
export function zOf(level: number): number {
  let z = Math.abs(probit((1 - level) / 2));
  for (let i = 0; i < 3; i++) z += (level - erf(z / Math.SQRT2)) / (Math.sqrt(2 / Math.PI) * Math.exp((-z * z) / 2));
  return z;
}

export interface Summary {
  mean: number;
  /** Standard error of the mean; infinite below two values, where nothing is known about it. */
  standardError: number;
  count: number;
}

export function summarize(values: readonly number[]): Summary {
  if (values.length === 0) return { mean: 0, standardError: Number.POSITIVE_INFINITY, count: 0 };
  const standardError = values.length < 2 ? Number.POSITIVE_INFINITY : Math.sqrt(sampleVariance(values as number[]) / values.length);
  return { mean: mean(values as number[]), standardError, count: values.length };
}

/** Percentile bootstrap of the mean of paired differences. */
export function pairedBootstrap(differences: readonly number[], seed: number, resamples = 4000, level = 0.95): Interval {
  if (differences.length === 0) return [0, 0];
  const rng = random(seed);
  const means = Float64Array.from({ length: resamples }, () => {
    let sum = 0;
    for (let i = 0; i < differences.length; i++) sum += differences[integer(rng, differences.length)] as number;
    return sum / differences.length;
  }).sort();
  return [quantileSorted(means as unknown as number[], (1 - level) / 2), quantileSorted(means as unknown as number[], (1 + level) / 2)];
}

/**
 * Two-sided exact McNemar test: `gained` items became right, `lost` became wrong; under the null each change goes either way with
 * probability 1/2. Items that did not change say nothing.
 */
export function mcNemar(gained: number, lost: number): number {
  const n = gained + lost;
  let tail = 0;
  for (let k = 0; k <= Math.min(gained, lost); k++) tail += Math.exp(gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1) - n * Math.LN2);
  return Math.min(1, 2 * tail);
}

/**
 * Tango's (1998) score interval for the difference of two paired proportions, of `n` items. Unlike a bootstrap or Wald interval it keeps
 * its coverage where few items change, and it is never a point.
 */
export function pairedProportions(gained: number, lost: number, n: number, level = 0.95): Interval {
  if (n === 0) return [-1, 1];
  const z = zOf(level);
  const score = (difference: number) => {
    const a = 2 * n;
    const b = -gained - lost + (2 * n - gained + lost) * difference;
    const c = -lost * difference * (1 - difference);
    const q = (Math.sqrt(Math.max(0, b * b - 4 * a * c)) - b) / (2 * a);
    const variance = n * (2 * q + difference * (1 - difference));
    const excess = gained - lost - n * difference;
    return variance <= 0 ? Math.sign(excess) * Number.POSITIVE_INFINITY : excess / Math.sqrt(variance);
  };
  // The score falls as the hypothetical difference rises; each end is where it crosses +z or -z.
  const cross = (target: number, low: number, high: number) => {
    for (let i = 0; i < 60; i++) {
      const middle = (low + high) / 2;
      if (score(middle) > target) low = middle;
      else high = middle;
    }
    return (low + high) / 2;
  };
  const estimate = (gained - lost) / n;
  return [cross(z, -1, estimate), cross(-z, estimate, 1)];
}

export interface PairedComparison {
  n: number;
  baseline: number;
  calibrated: number;
  difference: number;
  interval: Interval;
  p: number;
}

/** Accuracy with and without on the same items. */
export function compareAccuracy(before: readonly boolean[], after: readonly boolean[], level = 0.95): PairedComparison {
  if (before.length !== after.length) throw new RangeError(`Paired items must be equally many, not ${before.length} and ${after.length}.`);
  const n = before.length;
  const right = (list: readonly boolean[]) => (n === 0 ? 0 : list.filter(Boolean).length / n);
  const gained = after.filter((ok, i) => ok && !before[i]).length;
  const lost = before.filter((ok, i) => ok && !after[i]).length;
  const interval = pairedProportions(gained, lost, n, level);
  return {
    n,
    baseline: right(before),
    calibrated: right(after),
    difference: n === 0 ? 0 : (gained - lost) / n,
    interval,
    p: mcNemar(gained, lost),
  };
}

/** A continuous score (such as a log-likelihood) with and without: bootstrap interval, and a sign-flip permutation test of the mean. */
export function compareMeans(before: readonly number[], after: readonly number[], seed: number, level = 0.95): PairedComparison {
  if (before.length !== after.length) throw new RangeError(`Paired items must be equally many, not ${before.length} and ${after.length}.`);
  const differences = after.map((value, i) => value - (before[i] as number));
  const { mean: difference } = summarize(differences);
  const rng = random(seed);
  const rounds = 4000;
  let extreme = 1;
  for (let r = 0; r < rounds; r++) {
    let sum = 0;
    for (const d of differences) sum += rng() < 0.5 ? d : -d;
    if (Math.abs(sum / Math.max(1, differences.length)) >= Math.abs(difference) - 1e-15) extreme++;
  }
  return {
    n: before.length,
    baseline: summarize(before).mean,
    calibrated: summarize(after).mean,
    difference,
    interval: pairedBootstrap(differences, seed, 4000, level),
    p: extreme / (rounds + 1),
  };
}

/**
 * Smallest mean change that a paired comparison of these items would have shown four times in five: two-sided 5 %, power 80 %. From how much the
 * items changed at all; 0 where none did.
 */
export function smallestGain(changes: readonly number[]): number {
  const squares = changes.reduce((sum, change) => sum + change * change, 0);
  return changes.length === 0 ? 0 : ((zOf(0.95) + zOf(0.6)) * Math.sqrt(squares)) / changes.length;
}

/** Which of these p-values stay below a false-discovery rate of `rate` (Benjamini and Hochberg 1995). */
export function benjaminiHochberg(p: readonly number[], rate: number): boolean[] {
  const order = p.map((_, i) => i).sort((a, b) => (p[a] as number) - (p[b] as number));
  let last = -1;
  order.forEach((index, rank) => {
    if ((p[index] as number) <= ((rank + 1) / p.length) * rate) last = rank;
  });
  const kept = new Set(order.slice(0, last + 1));
  return p.map((_, i) => kept.has(i));
}
