/** Graded scores of an outcome. Accuracy alone is blunt on few prompts, and the margin alone is blind to a shift between labels. */
import { type Summary, summarize } from "../numbers/paired.js";
import type { Memory } from "./facts.js";
import type { HeadSetting, Outcome } from "./scorer.js";

export type Grade = (outcome: Outcome, item: number) => number;

export const accuracy: Grade = (outcome) => (outcome.correct ? 1 : 0);
export const margin: Grade = (outcome) => outcome.margin;

/** Accuracy with a soft step: a margin far from 0 cannot change the answer and counts little. `width` in units of the margin, by item. */
export function smoothAccuracy(width: (item: number) => number): Grade {
  return ({ margin: m }, item) => 1 / (1 + Math.exp(-m / width(item)));
}

export interface Grades {
  [name: string]: Grade;
}

/** Spread of the baseline margins by task: the scale on which widths are meant, so that they mean the same on every model and task. */
export function marginSpreads(memory: Memory, items: readonly number[]): (item: number) => number {
  const margins = new Map<number, number[]>();
  for (const item of items) {
    const task = memory.scorer.task(item);
    margins.set(task, [...(margins.get(task) ?? []), memory.baselineOf(item).margin]);
  }
  const spreads = new Map<number, number>();
  for (const [task, own] of margins) {
    const { standardError, count } = summarize(own);
    spreads.set(task, Number.isFinite(standardError) && standardError > 0 ? standardError * Math.sqrt(count) : 1);
  }
  return (item) => spreads.get(memory.scorer.task(item)) ?? 1;
}

export function gradesFor(memory: Memory, items: readonly number[]): Grades {
  if (memory.scorer.metric === "log-likelihood") return { likelihood: margin };
  const spread = marginSpreads(memory, items);
  return {
    accuracy,
    margin: (outcome, item) => outcome.margin / spread(item),
    smooth: smoothAccuracy((item) => spread(item) / 3),
    sharp: smoothAccuracy((item) => spread(item) / 10),
  };
}

/** Paired gain of a set over no heads, on the items where it is known. */
export function gain(memory: Memory, grade: Grade, items: readonly number[], { heads, variant }: HeadSetting): Summary {
  const differences: number[] = [];
  for (const item of items) {
    const outcome = memory.outcomeOf(item, heads, variant);
    if (outcome) differences.push(grade(outcome, item) - grade(memory.baselineOf(item), item));
  }
  return summarize(differences);
}
