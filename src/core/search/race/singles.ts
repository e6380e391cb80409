/** Every head alone: a race over prompts in which the weaker heads drop out, with what is known of each for candidates and for the eyes. */
import type { HeadScore } from "../../../protocol/engine.js";
import type { SearchEvent } from "../events.js";
import type { Memory } from "../facts.js";
import { type Grades, gain } from "../grades.js";
import { type HeadIndex, type Job, toHead } from "../scorer.js";
import { baselinePanel, headShifts, predicted } from "./additive.js";

/** One leg of the race: how many prompts, and which share of the heads is still in it. */
export interface Rung {
  prompts: number;
  share: number;
}

export function singleJobs(heads: readonly HeadIndex[], items: readonly number[]): Job[] {
  return items.flatMap((item) => heads.map((head) => ({ item, heads: [head] })));
}

/**
 * Heads by promise, best first. A head counts as promising as its best grade says at the upper end of its uncertainty, in units of that
 * grade's spread over heads: dropping a good head early cannot be mended later, keeping a bad one costs one more rung.
 */
export function rankHeads(
  memory: Memory,
  heads: readonly HeadIndex[],
  items: readonly number[],
  all: readonly number[],
  grades: Grades,
): HeadIndex[] {
  const promise = new Map<HeadIndex, number>(heads.map((head) => [head, Number.NEGATIVE_INFINITY]));
  const raise = (values: Map<HeadIndex, number>, scale: number) => {
    for (const [head, value] of values) promise.set(head, Math.max(promise.get(head) as number, value / (scale || 1)));
  };
  for (const [name, grade] of Object.entries(grades)) {
    // Whole answers flip too rarely on a few prompts to rank by.
    if (name === "accuracy") continue;
    const summaries = heads.map((head) => [head, gain(memory, grade, items, { heads: [head] })] as const);
    const scale = Math.sqrt(summaries.reduce((sum, [, { mean }]) => sum + mean ** 2, 0) / Math.max(1, summaries.length));
    raise(
      new Map(summaries.map(([head, { mean, standardError }]) => [head, mean + (Number.isFinite(standardError) ? standardError : 0)])),
      scale,
    );
  }
  const panel = baselinePanel(memory, all);
  if (panel.labels.length > 0) {
    // The same question put to all baselines, with each head's mean shift: far less noisy than the few prompts themselves.
    const shifts = headShifts(memory, panel, heads, items);
    const without = predicted(panel, [], 1 / 5);
    const gains = new Map(heads.map((head) => [head, predicted(panel, shifts.get(head) ?? [], 1 / 5) - without]));
    const scale = Math.sqrt([...gains.values()].reduce((sum, g) => sum + g ** 2, 0) / Math.max(1, gains.size));
    raise(gains, scale);
  }
  return [...heads].sort((a, b) => (promise.get(b) as number) - (promise.get(a) as number) || a - b);
}

/** Runs the race over the first prompts of `items`. `racing` always holds the heads that are still in. */
export async function* raceSingles(
  memory: Memory,
  items: readonly number[],
  rungs: readonly Rung[],
  grades: Grades,
  racing: Set<HeadIndex>,
  signal: AbortSignal,
): AsyncGenerator<SearchEvent> {
  let heads = [...memory.scorer.eligible];
  let start = 0;
  for (const { prompts, share } of rungs) {
    const end = Math.min(items.length, start + prompts);
    if (end === start) break;
    const keep = Math.max(1, Math.round(memory.scorer.eligible.length * share));
    if (keep < heads.length && start > 0) heads = rankHeads(memory, heads, items.slice(0, start), items, grades).slice(0, keep);
    racing.clear();
    for (const head of heads) racing.add(head);
    // Prompt by prompt, so that after the first few there is a ranking to look at.
    for (const item of items.slice(start, end)) yield* memory.needScores(singleJobs(heads, [item]), signal);
    start = end;
  }
}

/** What the panel shows of a head. */
export function headScore(
  memory: Memory,
  head: HeadIndex,
  items: readonly number[],
  grades: Grades,
  racing: ReadonlySet<HeadIndex>,
): HeadScore {
  const grade = grades.smooth ?? grades.likelihood ?? grades.margin;
  const [layer, index] = toHead(head, memory.scorer.heads);
  const { mean, standardError, count } = grade ? gain(memory, grade, items, { heads: [head] }) : { mean: 0, standardError: 0, count: 0 };
  const everLive = memory.alwaysLive || items.some((item) => memory.knows(item) && memory.liveOf(item).has(head));
  return {
    layer,
    head: index,
    gain: mean,
    halfWidth: Number.isFinite(standardError) ? 1.96 * standardError : 0,
    items: count,
    state: !everLive ? "never-live" : racing.has(head) ? "racing" : "dropped",
  };
}
