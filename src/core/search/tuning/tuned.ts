/**
 * Candidates by gradients. One backward pass a prompt estimates every head's own effect; sets by estimated effect share one beta, and Adam tunes a
 * strength for each head. Several tasks are tuned one by one and together, and the sets of single tasks are joined.
 */

import type { HeadScore } from "../../../protocol/engine.js";
import { summarize } from "../../numbers/paired.js";
import { derivedSeed, random, shuffled } from "../../numbers/random.js";
import type { Candidate } from "../confirm/arms.js";
import { distinct } from "../confirm/arms.js";
import type { SearchEvent } from "../events.js";
import type { Memory } from "../facts.js";
import { gain } from "../grades.js";
import { GRADIENT_PASSES } from "../gradient.js";
import type { Run } from "../run.js";
import { toHead } from "../scorer.js";
import { Adam } from "./adam.js";

/** A strength this close to off is off. */
const NEGLIGIBLE = 0.05;
/** Prompts of one step. */
const BATCH = 8;
const ADAM = { rate: 0.15, decay: 0.3 };
/** Shares of the eligible heads that a set by estimated effect takes. */
const SHARES = [0.04, 0.1, 0.25];
const BETAS = [0, 0.4];

export interface Tuned {
  candidates: Candidate[];
  /** By task, where there are several: the strengths tuned on it alone. */
  single: number[][];
}

/** Passes over whole prompts that tuning costs, behind the estimated effects. */
export function tuningPasses(run: Run): number {
  const { plan, options } = run;
  const tasks = options.tasks?.length ?? 1;
  const rounds = plan.epochs * (tasks > 1 ? 2 : 1);
  return GRADIENT_PASSES * rounds * plan.choose + rounds * opening(run).length;
}

/** Validation prompts that decide when to stop, and that candidates meet on first. */
export function opening(run: Run): number[] {
  const { validate } = run.parts;
  return validate.slice(0, Math.max(20, Math.round(0.4 * validate.length)));
}

export async function* tunedCandidates(run: Run): AsyncGenerator<SearchEvent, Tuned> {
  const { memory, parts, plan, progress, signal, options } = run;
  const { eligible } = memory.scorer;
  const first = parts.choose.slice(0, plan.effects);
  for (const [done, item] of first.entries()) {
    yield* progress.watch("baseline", first.length, memory.needSlopes([item], null, signal), () => done + 1);
    if (done % 8 === 7 || done === first.length - 1) yield progress.event(done + 1, estimates(memory, first.slice(0, done + 1)));
  }
  progress.begin("tune");
  yield* run.baselines(opening(run));
  const candidates: Candidate[] = byEffect(memory, first);
  const tasks = options.tasks?.length ?? 1;
  const single: number[][] = [];
  if (tasks > 1) {
    for (let task = 0; task < tasks; task++) {
      const own = (items: readonly number[]) => items.filter((item) => memory.scorer.task(item) === task);
      const tuned = yield* tune(run, own(parts.choose), own(opening(run)), `tuned on ${options.tasks?.[task]}`);
      candidates.push(...tuned.candidates.slice(0, 1));
      single.push(tuned.betas);
    }
    candidates.push(candidateOf("union of the single tasks' sets", memory, union(single)));
  }
  const joint = yield* tune(run, parts.choose, opening(run), "a strength for each head");
  candidates.push(...joint.candidates);
  yield progress.event(undefined, kept(memory, first, joint.candidates[0]));
  return { candidates: distinct(candidates.filter(({ heads }) => heads.length > 0 && heads.length <= eligible.length)), single };
}

/** Strengths that no task objects to: the mean of those that are on, by head. */
export function union(sets: readonly (readonly number[])[]): number[] {
  const size = sets[0]?.length ?? 0;
  return Array.from({ length: size }, (_, i) => {
    const on = sets.map((betas) => betas[i] as number).filter((beta) => Math.abs(1 - beta) >= NEGLIGIBLE);
    return on.length === 0 ? 1 : Number((on.reduce((a, b) => a + b, 0) / on.length).toFixed(3));
  });
}

/** A set from betas in the order of the eligible heads. */
export function candidateOf(name: string, memory: Memory, betas: readonly number[]): Candidate {
  const on = memory.scorer.eligible
    .map((head, i) => ({ head, beta: betas[i] as number }))
    .filter(({ beta }) => Math.abs(1 - beta) >= NEGLIGIBLE);
  on.sort((a, b) => a.head - b.head);
  return { name, heads: on.map(({ head }) => head), variant: { method: "act", beta: 1, betas: on.map(({ beta }) => beta) } };
}

/** Mean slope of every eligible head with no heads calibrated. */
function meanSlopes(memory: Memory, items: readonly number[]): number[] {
  return memory.scorer.eligible.map(
    (_, i) => items.reduce((sum, item) => sum + (memory.slopesOf(item, null).gradient[i] as number), 0) / items.length,
  );
}

/** Heads whose sinks are worth weakening, in several sizes and with one beta for all. */
function byEffect(memory: Memory, items: readonly number[]): Candidate[] {
  const slopes = meanSlopes(memory, items);
  const order = [...slopes.keys()].sort((a, b) => (slopes[a] as number) - (slopes[b] as number) || a - b);
  const candidates: Candidate[] = [];
  for (const share of SHARES) {
    const size = Math.max(1, Math.round(share * slopes.length));
    const weaker = order.slice(0, size).filter((i) => (slopes[i] as number) < 0);
    for (const beta of BETAS) {
      const betas = slopes.map(() => 1);
      for (const i of weaker) betas[i] = beta;
      candidates.push(candidateOf(`${weaker.length} heads by estimated effect, beta ${beta}`, memory, betas));
    }
  }
  return candidates;
}

/** Adam over these prompts; stops where the likelihood of the right answers falls twice on prompts that are not tuned on. Best epoch first. */
async function* tune(
  run: Run,
  items: readonly number[],
  check: readonly number[],
  name: string,
): AsyncGenerator<SearchEvent, { candidates: Candidate[]; betas: number[] }> {
  const { memory, plan, progress, signal, options } = run;
  const adam = new Adam(memory.scorer.eligible.length, ADAM);
  const epochs: { candidate: Candidate; betas: number[]; value: number }[] = [];
  const total = plan.epochs * items.length;
  let done = 0;
  for (let epoch = 1; epoch <= plan.epochs; epoch++) {
    if (epoch > 1 && (yield* run.late(`${name}, epoch ${epoch}`, 0.5))) break;
    const order = shuffled(items, random(derivedSeed(options.seed, `${name}, epoch ${epoch}`)));
    for (let at = 0; at < order.length; at += BATCH) {
      const batch = order.slice(at, at + BATCH);
      // Strengths that are all off have their gradients already.
      const betas = epoch === 1 && at === 0 ? null : adam.betas;
      let own = 0;
      yield* progress.watch("choose", total, memory.needSlopes(batch, betas, signal), () => done + Math.min(batch.length, ++own));
      done += batch.length;
      const slopes = batch.map((item) => memory.slopesOf(item, betas).gradient);
      adam.step(memory.scorer.eligible.map((_, i) => slopes.reduce((sum, gradient) => sum + (gradient[i] as number), 0) / slopes.length));
    }
    const candidate = candidateOf(`${name}, ${epoch === 1 ? "1 epoch" : `${epoch} epochs`}`, memory, adam.betas);
    yield* run.evaluate("choose", [candidate], check);
    const { mean: value } = gain(memory, ({ logProbability }) => logProbability, check, candidate);
    epochs.push({ candidate, betas: adam.betas, value });
    run.note(
      epochs.map((one) => one.candidate),
      check,
    );
    const best = epochs.reduce((at, one, i) => (one.value > (epochs[at] as { value: number }).value ? i : at), 0);
    if (epochs.length - best > 2) break;
  }
  epochs.sort((a, b) => b.value - a.value);
  return { candidates: epochs.slice(0, 2).map(({ candidate }) => candidate), betas: epochs[0]?.betas ?? [] };
}

/** Estimated gain of each head alone with its sinks fully weakened, in nats of the right answer. */
function estimates(memory: Memory, items: readonly number[]): HeadScore[] {
  return memory.scorer.eligible.map((index, i) => {
    const gains = items.map((item) => -(memory.slopesOf(item, null).gradient[i] as number));
    const { mean, standardError } = summarize(gains);
    const [layer, head] = toHead(index, memory.scorer.heads);
    const never = gains.every((value) => value === 0);
    const halfWidth = Number.isFinite(standardError) ? 1.96 * standardError : 0;
    return { layer, head, gain: mean, halfWidth, items: items.length, state: never ? "never-live" : "racing" };
  });
}

/** The same with the heads of the tuned set marked. */
function kept(memory: Memory, items: readonly number[], set: Candidate | undefined): HeadScore[] {
  const heads = new Set(set?.heads);
  return estimates(memory, items).map((score, i) => ({
    ...score,
    state: heads.has(memory.scorer.eligible[i] as number) ? "kept" : score.state === "racing" ? "dropped" : score.state,
  }));
}
