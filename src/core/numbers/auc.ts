/** Area under the ROC curve: how often a prompt of label 1 scores above one of label 0. A shift of all scores does not change it. */
import { sampleCovariance, sampleVariance } from "simple-statistics";
import { type Interval, zOf } from "./paired.js";

/** How often each positive beats the negatives, and each negative is beaten, a tie counting half: DeLong's structural components. */
function components(scores: readonly number[], positive: readonly boolean[]): { ofPositives: number[]; ofNegatives: number[] } {
  const split = (wanted: boolean) => scores.filter((_, i) => positive[i] === wanted);
  const up = split(true);
  const down = split(false);
  const share = (value: number, others: readonly number[], wins: (other: number) => boolean) =>
    others.reduce((sum, other) => sum + (other === value ? 0.5 : wins(other) ? 1 : 0), 0) / others.length;
  return {
    ofPositives: up.map((value) => share(value, down, (other) => value > other)),
    ofNegatives: down.map((value) => share(value, up, (other) => other > value)),
  };
}

/** NaN where one of the labels does not occur. */
export function auc(scores: readonly number[], positive: readonly boolean[]): number {
  const { ofPositives, ofNegatives } = components(scores, positive);
  return ofNegatives.length === 0 ? Number.NaN : ofPositives.reduce((sum, value) => sum + value, 0) / ofPositives.length;
}

/** Difference of two areas on the same prompts, with the interval of DeLong, DeLong and Clarke-Pearson (1988). */
export function compareAuc(
  before: readonly number[],
  after: readonly number[],
  positive: readonly boolean[],
  level = 0.95,
): { baseline: number; calibrated: number; difference: number; interval: Interval } {
  const a = components(before, positive);
  const b = components(after, positive);
  const baseline = auc(before, positive);
  const calibrated = auc(after, positive);
  const difference = calibrated - baseline;
  // Below two prompts of a label nothing is known about the spread.
  if (a.ofPositives.length < 2 || a.ofNegatives.length < 2) return { baseline, calibrated, difference, interval: [-1, 1] };
  const variance = (x: number[], y: number[]) => (sampleVariance(x) + sampleVariance(y) - 2 * sampleCovariance(x, y)) / x.length;
  const half = zOf(level) * Math.sqrt(Math.max(0, variance(a.ofPositives, b.ofPositives) + variance(a.ofNegatives, b.ofNegatives)));
  return { baseline, calibrated, difference, interval: [Math.max(-1, difference - half), Math.min(1, difference + half)] };
}
