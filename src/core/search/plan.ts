/** How many prompts each part gets, and how the race runs: fixed sizes, or the richest plan that fits a time budget. */
import { ActError } from "../../protocol/errors.js";
import { derivedSeed, random, shuffled } from "../numbers/random.js";
import { GRADIENT_PASSES } from "./gradient.js";
import type { Rung } from "./race/singles.js";
import type { Scorer } from "./scorer.js";

/** Disjoint parts of the items. */
export interface Parts {
  choose: number[];
  validate: number[];
  confirm: number[];
}

/** Prompts of each part. */
export type Sizes = { [Part in keyof Parts]: number };

export interface Plan extends Sizes {
  /** With gradients: prompts for the estimated effects, and times that the strengths are tuned over the choosing prompts. */
  effects: number;
  epochs: number;
  /** Race of single heads: prompts per leg and share of the heads still in. */
  rungs: Rung[];
  /** Candidate sets: prompts per leg of their race and how many sets are still in. */
  legs: { prompts: number; sets: number }[];
  /** Rounds of joint refinement, and prompts that each new set is measured on. */
  refine: { rounds: number; prompts: number };
  finalists: number;
  /** Random sets of equal size in the confirmation. */
  random: number;
}

/** Races, from rich to lean. */
export const PLANS: readonly Plan[] = [
  {
    choose: 160,
    validate: 100,
    confirm: 200,
    effects: 0,
    epochs: 0,
    rungs: [
      { prompts: 4, share: 1 },
      { prompts: 8, share: 0.5 },
      { prompts: 16, share: 0.3 },
    ],
    legs: [
      { prompts: 8, sets: 99 },
      { prompts: 20, sets: 8 },
      { prompts: 36, sets: 4 },
    ],
    refine: { rounds: 6, prompts: 32 },
    finalists: 4,
    random: 3,
  },
  {
    choose: 140,
    validate: 80,
    confirm: 200,
    effects: 0,
    epochs: 0,
    rungs: [
      { prompts: 4, share: 1 },
      { prompts: 6, share: 0.4 },
    ],
    legs: [
      { prompts: 10, sets: 99 },
      { prompts: 20, sets: 6 },
      { prompts: 30, sets: 3 },
    ],
    refine: { rounds: 5, prompts: 24 },
    finalists: 3,
    random: 3,
  },
  {
    choose: 120,
    validate: 60,
    confirm: 200,
    effects: 0,
    epochs: 0,
    rungs: [
      { prompts: 3, share: 1 },
      { prompts: 4, share: 0.3 },
    ],
    legs: [
      { prompts: 8, sets: 99 },
      { prompts: 16, sets: 4 },
    ],
    refine: { rounds: 4, prompts: 16 },
    finalists: 2,
    random: 2,
  },
  {
    choose: 80,
    validate: 40,
    confirm: 120,
    effects: 0,
    epochs: 0,
    rungs: [
      { prompts: 2, share: 1 },
      { prompts: 4, share: 0.3 },
    ],
    legs: [{ prompts: 8, sets: 99 }],
    refine: { rounds: 3, prompts: 12 },
    finalists: 2,
    random: 1,
  },
  {
    choose: 40,
    validate: 30,
    confirm: 80,
    effects: 0,
    epochs: 0,
    rungs: [
      { prompts: 1, share: 1 },
      { prompts: 2, share: 0.3 },
    ],
    legs: [{ prompts: 6, sets: 8 }],
    refine: { rounds: 1, prompts: 8 },
    finalists: 1,
    random: 1,
  },
];

/** With gradients, from rich to lean. */
export const GRADIENT_PLANS: readonly Plan[] = [
  [128, 120, 600, 48, 4, 3],
  [64, 100, 600, 32, 4, 2],
  [64, 100, 300, 32, 3, 2],
  [48, 60, 200, 24, 3, 1],
  [32, 40, 120, 16, 2, 1],
  [24, 30, 80, 12, 2, 1],
].map(([choose = 0, validate = 0, confirm = 0, effects = 0, epochs = 0, randoms = 0]) => ({
  ...{ choose, validate, confirm, effects, epochs, random: randoms },
  ...{ rungs: [], legs: [], refine: { rounds: 0, prompts: 0 }, finalists: 0 },
}));

/** Plans of a method: the one without a budget, and the richest that fits one. */
export function plansOf(method: "gradient" | "race") {
  const plans = method === "gradient" ? GRADIENT_PLANS : PLANS;
  return {
    default: plans[1] as Plan,
    within: (seconds: number, passesPerSecond: number, eligible: number) => planFor(plans, seconds, passesPerSecond, eligible),
  };
}

/** Fewest items of a task that a search can divide into three parts that mean anything. */
export const LEAST_ITEMS = 24;
/** Where items are few the confirmation gives way first, down to this many. */
const LEAST_CONFIRM = 200;

/**
 * Divides items into disjoint parts by the seed, each task in equal shares. The confirmation's items come first and do not depend on how many the
 * other parts take, so that searches of different thoroughness are confirmed on the same prompts. Parts shrink where there are too few items.
 * A cluster is in one part only, and counts once in it for each task.
 */
export function divide(scorer: Pick<Scorer, "items" | "task" | "cluster">, sizes: Sizes, seed: number): Parts {
  const all = Array.from({ length: scorer.items }, (_, i) => i);
  const clusters = new Map<number, Set<number>>();
  for (const item of all) {
    const task = scorer.task(item);
    clusters.set(task, (clusters.get(task) ?? new Set()).add(scorer.cluster(item)));
  }
  const quotas = new Map<number, Sizes>();
  for (const [task, own] of clusters) quotas.set(task, quotasOf(own.size, sizes, clusters.size));
  const order = shuffled(all, random(derivedSeed(seed, "parts")));
  const taken = new Map<number, keyof Parts>();
  const parts: Parts = { choose: [], validate: [], confirm: [] };
  for (const part of ["confirm", "validate", "choose"] as const) {
    const seen = new Set<string>();
    for (const item of order) {
      const task = scorer.task(item);
      const cluster = scorer.cluster(item);
      const quota = quotas.get(task) as Sizes;
      const key = `${task}|${cluster}`;
      if (quota[part] === 0 || seen.has(key) || (taken.get(cluster) ?? part) !== part) continue;
      quota[part]--;
      seen.add(key);
      taken.set(cluster, part);
      parts[part].push(item);
    }
  }
  return parts;
}

/** Sizes of one task's parts, of `tasks`, where it has `items` different ones. @throws ActError `data` where they are too few */
function quotasOf(items: number, sizes: Sizes, tasks: number) {
  if (items < LEAST_ITEMS) {
    throw new ActError(
      "data",
      `A head search needs at least ${LEAST_ITEMS} different items for its three parts, but there are only ${items}.`,
    );
  }
  const own = { choose: sizes.choose / tasks, validate: sizes.validate / tasks, confirm: sizes.confirm / tasks };
  const lack = own.choose + own.validate + own.confirm - items;
  if (lack > 0) own.confirm = Math.max(Math.min(own.confirm, LEAST_CONFIRM), own.confirm - lack);
  const scale = Math.min(1, items / (own.choose + own.validate + own.confirm));
  return {
    confirm: Math.max(8, Math.floor(own.confirm * scale)),
    validate: Math.max(6, Math.floor(own.validate * scale)),
    choose: Math.max(8, Math.floor(own.choose * scale)),
  };
}

/** Share of the layers that an evaluation of one head runs through on average when it restarts at the head's layer. */
const MEAN_DEPTH = 0.55;
/** Share of the (prompt, head) pairs that are live, before it is known. */
const MEAN_LIVE = 0.7;
/** Sets that the rules usually lead to. */
const USUAL_SETS = 16;

/** Passes over whole prompts that a plan costs, roughly. */
export function planPasses(plan: Plan, eligible: number): number {
  const singles = plan.rungs.reduce((sum, { prompts, share }) => sum + prompts * share * eligible * MEAN_DEPTH * MEAN_LIVE, 0);
  const legs = plan.legs.reduce((sum, { prompts, sets }) => sum + prompts * Math.min(sets, USUAL_SETS), 0);
  const arms = 4 + plan.random;
  const tuning = GRADIENT_PASSES * (plan.effects + plan.epochs * plan.choose) + (plan.epochs > 0 ? USUAL_SETS : 0) * 0.4 * plan.validate;
  return (
    tuning +
    plan.choose +
    singles +
    legs +
    plan.refine.rounds * plan.refine.prompts +
    plan.validate * (1 + plan.finalists + 1) +
    plan.confirm * arms +
    60
  );
}

/** Below this share of the leanest plan's prompts a confirmation says nothing any more. */
const LEAST_SHARE = 1 / 3;

/** The richest plan that fits into `seconds`; where none does, the leanest with fewer prompts in each part. */
function planFor(plans: readonly Plan[], seconds: number, passesPerSecond: number, eligible: number): Plan {
  const affordable = 0.85 * seconds * passesPerSecond;
  const fitting = plans.find((plan) => planPasses(plan, eligible) <= affordable);
  if (fitting) return fitting;
  const least = plans.at(-1) as Plan;
  const share = Math.max(LEAST_SHARE, affordable / planPasses(least, eligible));
  const of = (prompts: number) => Math.round(share * prompts);
  return { ...least, choose: of(least.choose), validate: of(least.validate), confirm: of(least.confirm) };
}
