/** The last part: the winner against no heads, random sets, all heads and other methods, on prompts that nothing was chosen on. */

import { compareAccuracy, compareMeans, type PairedComparison } from "../numbers/paired.js";
import { choose, derivedSeed, random } from "../numbers/random.js";
import type { Memory } from "./facts.js";
import { type HeadIndex, sortedHeads, type Variant } from "./scorer.js";

export interface Arm {
  name: string;
  heads: readonly HeadIndex[];
  variant?: Variant;
}

export interface ArmResult extends PairedComparison {
  name: string;
  heads: number;
}

export function randomArms(eligible: readonly HeadIndex[], size: number, count: number, seed: number): Arm[] {
  return Array.from({ length: count }, (_, i) => {
    const rng = random(derivedSeed(seed, `random set ${i}`));
    return { name: `random set ${i + 1} of equal size`, heads: sortedHeads(choose(eligible, Math.min(size, eligible.length), rng)) };
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
  const labels = items.map((item) => memory.scorer.label(item));
  const counts = new Map<number, number>();
  for (const label of labels) if (label !== undefined) counts.set(label, (counts.get(label) ?? 0) + 1);
  const [most] = [...counts].sort((a, b) => b[1] - a[1])[0] ?? [];
  if (most === undefined) return null;
  const right = labels.map((label) => label === most);
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

/**
 * Contextual calibration (Zhao et al. 2021): the answers' probabilities divided by those that content-free inputs get, by the same heads.
 * `contentFree` holds the answers' scores of those inputs; their probabilities are averaged.
 */
export function contextualChoice(answers: readonly number[], contentFree: readonly (readonly number[])[]): number {
  const bias = answers.map((_, a) => contentFree.reduce((sum, scores) => sum + (softmax(scores)[a] ?? 0), 0) / contentFree.length);
  const scores = softmax(answers).map((p, a) => p / Math.max(bias[a] as number, 1e-12));
  return scores.indexOf(Math.max(...scores));
}

function softmax(scores: readonly number[]): number[] {
  const most = Math.max(...scores);
  const e = scores.map((score) => Math.exp(score - most));
  const sum = e.reduce((a, b) => a + b, 0);
  return e.map((value) => value / sum);
}

/** Accuracy under contextual calibration against no heads without it, paired. */
export function compareContextual(memory: Memory, arm: Arm, items: readonly number[], contentFree: readonly number[]): ArmResult {
  const free = contentFree.map((item) => memory.outcomeOf(item, arm.heads, arm.variant)?.answers ?? []);
  const before = items.map((item) => memory.baselineOf(item).correct);
  const after = items.map(
    (item) => contextualChoice(memory.outcomeOf(item, arm.heads, arm.variant)?.answers ?? [], free) === memory.scorer.label(item),
  );
  return { ...compareAccuracy(before, after), name: arm.name, heads: arm.heads.length };
}
