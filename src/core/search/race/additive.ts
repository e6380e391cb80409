/**
 * A head's effect is mostly one shift of the answers' scores that hardly depends on the prompt (measured on SmolLM2-135M: the mean shift of
 * a head is about as large as its spread over prompts, so a few prompts tell it). Then a set's effect is close to the sum of its heads'
 * shifts, and sets can be tried on every baseline without evaluating anything. What this predicts is always checked by evaluation.
 */

import type { SearchEvent } from "../events.js";
import type { Memory } from "../facts.js";
import { marginSpreads } from "../grades.js";
import type { HeadIndex } from "../scorer.js";

/**
 * Scores of the answers of some items, without heads, and which answer is right. Each task's answers have slots of their own in a shift, and are
 * in units of the spread of that task's margins.
 */
export interface Panel {
  answers: Float64Array[];
  labels: number[];
  /** First slot of the item's task. */
  starts: number[];
  /** Slots of all tasks together. */
  slots: number;
  /** First slot of the item's answers. */
  start(item: number): number;
  spread(item: number): number;
}

/** By slot. */
export type Shifts = ReadonlyMap<HeadIndex, Float64Array>;

/** `values` minus their mean: a common summand changes no answer. */
function centred(values: ArrayLike<number>): Float64Array {
  const mean = Array.from(values).reduce((a, b) => a + b, 0) / values.length;
  return Float64Array.from(values, (value) => value - mean);
}

/** Baseline scores of the items that have answers. */
export function baselinePanel(memory: Memory, items: readonly number[]): Panel {
  const { scorer } = memory;
  const widths: number[] = [];
  const own = items.filter((item) => memory.baselineOf(item).answers && scorer.label(item) !== undefined);
  for (const item of own) {
    const task = scorer.task(item);
    widths[task] = Math.max(widths[task] ?? 0, memory.baselineOf(item).answers?.length ?? 0);
  }
  const firsts = Array.from(widths, (_, task) => Array.from(widths.slice(0, task), (width = 0) => width).reduce((a, b) => a + b, 0));
  const spread = marginSpreads(memory, own);
  const start = (item: number) => firsts[scorer.task(item)] ?? 0;
  return {
    answers: own.map((item) => Float64Array.from(memory.baselineOf(item).answers ?? [], (value) => value / spread(item))),
    labels: own.map((item) => scorer.label(item) as number),
    starts: own.map(start),
    slots: Array.from(widths, (width = 0) => width).reduce((a, b) => a + b, 0),
    start,
    spread,
  };
}

/** Mean change of the answers' scores, over the items where it is known, by slot. */
export function meanShift(
  memory: Memory,
  panel: Panel,
  heads: readonly HeadIndex[],
  items: readonly number[],
): { mean: Float64Array; spread: Float64Array; count: number } {
  const values: number[][] = Array.from({ length: panel.slots }, () => []);
  let count = 0;
  for (const item of items) {
    const after = memory.outcomeOf(item, heads)?.answers;
    const before = memory.baselineOf(item).answers;
    if (!after || !before) continue;
    count++;
    const change = centred(after.map((value, i) => (value - (before[i] as number)) / panel.spread(item)));
    change.forEach((value, i) => {
      values[panel.start(item) + i]?.push(value);
    });
  }
  const mean = Float64Array.from(values, (own) => (own.length === 0 ? 0 : own.reduce((a, b) => a + b, 0) / own.length));
  const spread = Float64Array.from(values, (own, slot) => {
    const m = mean[slot] as number;
    return own.length < 2 ? Math.abs(m) : Math.sqrt(own.reduce((sum, value) => sum + (value - m) ** 2, 0) / (own.length - 1));
  });
  return { mean, spread, count };
}

/** Shift of every head, shrunk towards nothing by how uncertain it is, so that noise does not add up over many heads. */
export function headShifts(memory: Memory, panel: Panel, heads: readonly HeadIndex[], items: readonly number[]): Shifts {
  const shifts = new Map<HeadIndex, Float64Array>();
  for (const head of heads) {
    const { mean, spread, count } = meanShift(memory, panel, [head], items);
    if (count === 0) continue;
    const noise = spread.reduce((sum, s) => sum + s ** 2, 0) / count;
    const size = mean.reduce((sum, m) => sum + m ** 2, 0);
    const kept = size > noise ? 1 - noise / size : 0;
    if (kept > 0)
      shifts.set(
        head,
        mean.map((m) => m * kept),
      );
  }
  return shifts;
}

/** Mean smoothed accuracy when every item's scores move by `shift`. */
export function predicted(panel: Panel, shift: ArrayLike<number>, width: number): number {
  let sum = 0;
  for (let i = 0; i < panel.answers.length; i++) {
    const answers = panel.answers[i] as Float64Array;
    const label = panel.labels[i] as number;
    const start = panel.starts[i] as number;
    let best = Number.NEGATIVE_INFINITY;
    let right = 0;
    for (let a = 0; a < answers.length; a++) {
      const value = (answers[a] as number) + (shift[start + a] ?? 0);
      if (a === label) right = value;
      else if (value > best) best = value;
    }
    sum += 1 / (1 + Math.exp((best - right) / width));
  }
  return panel.answers.length === 0 ? 0 : sum / panel.answers.length;
}

function plus(a: ArrayLike<number>, b: ArrayLike<number>, sign: 1 | -1): Float64Array {
  return Float64Array.from({ length: Math.max(a.length, b.length) }, (_, i) => (a[i] ?? 0) + sign * (b[i] ?? 0));
}

export interface GreedyOptions {
  /** Width of the smoothed accuracy that is maximised. */
  width: number;
  /** Most heads in the set. */
  most: number;
  /** Where to start: a set and the shift that was really measured for it. */
  from?: { heads: readonly HeadIndex[]; shift: ArrayLike<number> };
  /** Most additions and removals. */
  moves?: number;
  /** A move must raise the prediction by this much. */
  least?: number;
}

/**
 * Adds and removes heads one at a time, each time the one that raises the predicted smoothed accuracy most, until none does. One move looks at
 * every head on every item: milliseconds, more with more heads and answers, so others may go first between two.
 */
export function* greedySet(panel: Panel, shifts: Shifts, options: GreedyOptions): Generator<SearchEvent, HeadIndex[]> {
  const { width, most, from, moves = Number.POSITIVE_INFINITY, least = 1e-4 } = options;
  const set = new Set<HeadIndex>(from?.heads);
  let shift: ArrayLike<number> = from?.shift ?? [];
  let value = predicted(panel, shift, width);
  const moved = new Set<HeadIndex>();
  while (moved.size < moves) {
    let best: { head: HeadIndex; shift: Float64Array; value: number } | null = null;
    for (const [head, own] of shifts) {
      if (moved.has(head) || (!set.has(head) && set.size >= most)) continue;
      const next = plus(shift, own, set.has(head) ? -1 : 1);
      const gained = predicted(panel, next, width);
      if (!best || gained > best.value) best = { head, shift: next, value: gained };
    }
    if (!best || best.value < value + least) break;
    if (!set.delete(best.head)) set.add(best.head);
    // A head moves once: the prediction is linear, and going back and forth would only follow rounding.
    moved.add(best.head);
    ({ shift, value } = best);
    yield { type: "pause" };
  }
  return [...set].sort((a, b) => a - b);
}
