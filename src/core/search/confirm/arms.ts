/** The last part: the winner against no heads, random sets, all heads and other methods, on prompts that nothing was chosen on. */

import { compareAccuracy, compareMeans, type PairedComparison } from "../../numbers/paired.js";
import { choose, derivedSeed, random, shuffled } from "../../numbers/random.js";
import type { Memory } from "../facts.js";
import { type HeadIndex, type HeadSetting, sortedHeads } from "../scorer.js";

/** Heads with a name. */
export interface Arm extends HeadSetting {
  name: string;
}

/** A set that may win. */
export interface Candidate extends Arm {
  heads: HeadIndex[];
}

export interface ArmResult extends PairedComparison {
  name: string;
  heads: number;
}

/** The same set is one candidate, whichever rules lead to it. */
export function distinct(candidates: readonly Candidate[]): Candidate[] {
  const byKey = new Map<string, Candidate>();
  for (const candidate of candidates) {
    const key = `${candidate.heads.join()}|${candidate.variant?.betas?.join() ?? ""}`;
    if (!byKey.has(key)) byKey.set(key, candidate);
  }
  return [...byKey.values()];
}

/** Random heads, as many as the set has, with its strengths. */
export function randomArms(eligible: readonly HeadIndex[], set: HeadSetting, count: number, seed: number): Arm[] {
  return Array.from({ length: count }, (_, i) => {
    const rng = random(derivedSeed(seed, `random set ${i}`));
    const heads = sortedHeads(choose(eligible, Math.min(set.heads.length, eligible.length), rng));
    const { variant } = set;
    const betas = variant?.betas && shuffled(variant.betas, rng);
    return {
      name: `random set ${i + 1} of equal size`,
      heads,
      ...(variant ? { variant: { ...variant, ...(betas ? { betas } : {}) } } : {}),
    };
  });
}

/** One arm against no heads, paired by item, in the task's own metric. Everything it needs was evaluated before. */
export function compareArm(memory: Memory, arm: Arm, items: readonly number[], seed: number): ArmResult {
  const before = items.map((item) => memory.baselineOf(item));
  const after = items.map((item) => {
    const outcome = memory.outcomeOf(item, arm.heads, arm.variant);
    if (!outcome) throw new Error(`Item ${item} was not evaluated with ${arm.name}.`);
    return outcome;
  });
  const comparison =
    memory.scorer.metric === "accuracy"
      ? compareAccuracy(
          before.map((one) => one.correct),
          after.map((one) => one.correct),
        )
      : compareMeans(
          before.map((one) => one.logProbability),
          after.map((one) => one.logProbability),
          derivedSeed(seed, arm.name),
        );
  return { ...comparison, name: arm.name, heads: arm.heads.length };
}

/** The answer that is right most often on these items, given always: where it is right, and what it gains over no heads. Null for completions. */
export function constantAnswer(memory: Memory, items: readonly number[]): { right: boolean[]; rival: ArmResult } | null {
  // Each task has an answer of its own.
  const counts = new Map<string, number>();
  const key = (item: number) => `${memory.scorer.task(item)}|${memory.scorer.label(item)}`;
  for (const item of items) if (memory.scorer.label(item) !== undefined) counts.set(key(item), (counts.get(key(item)) ?? 0) + 1);
  if (counts.size === 0) return null;
  const most = new Map<string, string>();
  for (const [own] of [...counts].sort((a, b) => b[1] - a[1])) {
    const task = own.slice(0, own.indexOf("|"));
    if (!most.has(task)) most.set(task, own);
  }
  const right = items.map((item) => most.get(String(memory.scorer.task(item))) === key(item));
  const before = items.map((item) => memory.baselineOf(item).correct);
  return { right, rival: { ...compareAccuracy(before, right), name: "always the same answer", heads: 0 } };
}

/**
 * Whether a set is surely better than the constant answer, right on `constant`. Where it is not, the model has no skill to calibrate, and a gain
 * is a shift of its guesses that the next prompts take back.
 */
export function beatsConstant(memory: Memory, { heads, variant }: Arm, items: readonly number[], constant: readonly boolean[]): boolean {
  const right = items.map((item) => memory.outcomeOf(item, heads, variant)?.correct ?? false);
  return compareAccuracy(constant, right).interval[0] > 0;
}
