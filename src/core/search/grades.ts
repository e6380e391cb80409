/** Graded scores of an outcome. Accuracy alone is blunt on few prompts, and the margin alone is blind to a shift between labels. */
import { type Summary, summarize } from "../numbers/paired.js";
import type { Memory } from "./facts.js";
import type { HeadIndex, Outcome } from "./scorer.js";

export type Grade = (outcome: Outcome) => number;

export const accuracy: Grade = (outcome) => (outcome.correct ? 1 : 0);
export const margin: Grade = (outcome) => outcome.margin;

/** Accuracy with a soft step: a margin far from 0 cannot change the answer and counts little. `width` in units of the margin. */
export function smoothAccuracy(width: number): Grade {
  return ({ margin: m }) => 1 / (1 + Math.exp(-m / width));
}

export interface Grades {
  [name: string]: Grade;
}

/** Widths of the soft step follow the spread of the baseline margins, so they mean the same on every model. */
export function gradesFor(metric: "accuracy" | "log-likelihood", baseline: readonly Outcome[]): Grades {
  if (metric === "log-likelihood") return { likelihood: margin };
  const { standardError, count } = summarize(baseline.map((outcome) => outcome.margin));
  const spread = Number.isFinite(standardError) && standardError > 0 ? standardError * Math.sqrt(count) : 1;
  return { accuracy, margin, smooth: smoothAccuracy(spread / 3), sharp: smoothAccuracy(spread / 10) };
}

/** Paired gain of a set over no heads, on the items where it is known. */
export function gain(memory: Memory, grade: Grade, items: readonly number[], heads: readonly HeadIndex[]): Summary {
  const differences: number[] = [];
  for (const item of items) {
    const outcome = memory.outcomeOf(item, heads);
    if (outcome) differences.push(grade(outcome) - grade(memory.baselineOf(item)));
  }
  return summarize(differences);
}
