/** Candidate sets from several scores: no single score is right for every task, so they meet on prompts they were not chosen on. */
import { benjaminiHochberg } from "../../numbers/paired.js";
import type { Candidate } from "../confirm/arms.js";
import { distinct } from "../confirm/arms.js";
import type { SearchEvent } from "../events.js";
import type { Memory } from "../facts.js";
import { accuracy, type Grade, type Grades, gain } from "../grades.js";
import type { HeadIndex } from "../scorer.js";
import { sortedHeads } from "../scorer.js";
import { baselinePanel, greedySet, headShifts, meanShift } from "./additive.js";

/** Heads whose own accuracy rose: the published rule (greedy union). */
export function publishedRule(memory: Memory, items: readonly number[]): Candidate {
  const heads = memory.scorer.eligible.filter((head) => gain(memory, accuracy, items, { heads: [head] }).mean > 0);
  return { name: "own accuracy rose (published rule)", heads };
}

function tOf(memory: Memory, grade: Grade, items: readonly number[], head: HeadIndex): number {
  const { mean, standardError, count } = gain(memory, grade, items, { heads: [head] });
  if (count < 3 || !Number.isFinite(standardError)) return 0;
  // A floor under the error: a few equal values are no certainty.
  return standardError === 0 ? 0 : mean / standardError;
}

/** One-sided p of a t value, normal approximation of the tail (enough to rank and to control a rate on 8 or more prompts). */
function pOf(t: number): number {
  if (t <= 0) return 1;
  const k = 1 / (1 + 0.2316419 * t);
  const tail = Math.exp((-t * t) / 2) / Math.sqrt(2 * Math.PI);
  return tail * k * (0.31938153 + k * (-0.356563782 + k * (1.781477937 + k * (-1.821255978 + k * 1.330274429))));
}

/** Heads whose graded gain is found real at a false-discovery rate of 10 % (Benjamini and Hochberg over all eligible heads). */
export function discoveries(memory: Memory, grade: Grade, items: readonly number[]): HeadIndex[] {
  const { eligible } = memory.scorer;
  const kept = benjaminiHochberg(
    eligible.map((head) => pOf(tOf(memory, grade, items, head))),
    0.1,
  );
  return eligible.filter((_, i) => kept[i]);
}

/** Sets from the race of single heads over `measured`; `all` are the prompts with a baseline to predict on. */
export function* candidateSets(
  memory: Memory,
  measured: readonly number[],
  all: readonly number[],
  grades: Grades,
): Generator<SearchEvent, Candidate[]> {
  const { eligible } = memory.scorer;
  const candidates: Candidate[] = [];
  const add = (name: string, heads: readonly HeadIndex[]) => {
    if (heads.length > 0) candidates.push({ name, heads: sortedHeads(heads) });
  };
  for (const [name, grade] of Object.entries(grades)) {
    if (name === "accuracy") {
      add(publishedRule(memory, measured).name, publishedRule(memory, measured).heads);
      continue;
    }
    const t = new Map(eligible.map((head) => [head, tOf(memory, grade, measured, head)]));
    const best = [...eligible].sort((a, b) => (t.get(b) as number) - (t.get(a) as number) || a - b);
    add(
      `${name} rose, t > 2`,
      best.filter((head) => (t.get(head) as number) > 2),
    );
    add(
      `${name} rose, t > 1`,
      best.filter((head) => (t.get(head) as number) > 1),
    );
    add(`${name}, discoveries`, discoveries(memory, grade, measured));
    for (const size of [5, 20]) add(`${size} best by ${name}`, best.filter((head) => (t.get(head) as number) > 0).slice(0, size));
    yield { type: "pause" };
  }
  const panel = baselinePanel(memory, all);
  if (panel.labels.length > 0) {
    const shifts = headShifts(memory, panel, eligible, measured);
    for (const [width, label] of [
      [1 / 10, "sharp"],
      [1 / 4, "soft"],
    ] as const) {
      for (const most of [10, 30, eligible.length])
        add(`additive fit, ${label}, at most ${most}`, yield* greedySet(panel, shifts, { width, most }));
    }
  }
  // Shifts that are too small to be seen one by one may still add up.
  add("all eligible heads", eligible);
  return distinct(candidates);
}

/**
 * One step of the joint refinement: heads act together, so the shift of the whole set is measured on `measured`, and the additive fit goes on
 * from there by a few moves. Null where it would not move.
 */
export function* refined(
  memory: Memory,
  from: Candidate,
  measured: readonly number[],
  all: readonly number[],
  round: number,
  moves: number,
): Generator<SearchEvent, Candidate | null> {
  const panel = baselinePanel(memory, all);
  const { mean, count } = meanShift(memory, panel, from.heads, measured);
  if (panel.labels.length === 0 || count === 0) return null;
  const shifts = headShifts(memory, panel, memory.scorer.eligible, all);
  const heads = yield* greedySet(panel, shifts, {
    width: 1 / 6,
    most: memory.scorer.eligible.length,
    from: { heads: from.heads, shift: mean },
    moves,
  });
  return heads.join() === from.heads.join() || heads.length === 0 ? null : { name: `${from.name}, refined ${round}`, heads };
}
