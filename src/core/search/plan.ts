/** How many prompts each part gets, and how the race runs: fixed sizes, or the richest plan that fits a time budget. */
import { ActError } from "../../protocol/errors.js";
import { derivedSeed, random, shuffled } from "../numbers/random.js";
import type { Rung } from "./singles.js";

/** Disjoint parts of the items. */
export interface Parts {
  choose: number[];
  validate: number[];
  confirm: number[];
}

export interface Plan {
  choose: number;
  validate: number;
  confirm: number;
  /** Single heads: prompts per leg and share of the heads still in. */
  rungs: Rung[];
  /** Candidate sets: prompts per leg of their race and how many sets are still in. */
  legs: { prompts: number; sets: number }[];
  /** Rounds of joint refinement, and prompts that each new set is measured on. */
  refine: { rounds: number; prompts: number };
  finalists: number;
  /** Random sets of equal size in the confirmation. */
  random: number;
}

/** From rich to lean. */
export const PLANS: readonly Plan[] = [
  {
    choose: 160,
    validate: 100,
    confirm: 200,
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

/** The plan without a budget. */
export const DEFAULT_PLAN = PLANS[1] as Plan;

/** Fewest items a search can divide into three parts that mean anything. */
const LEAST_ITEMS = 24;

/**
 * Divides items into disjoint parts by the seed. The confirmation's items come first and do not depend on how many the other parts take, so
 * that searches of different thoroughness are confirmed on the same prompts. Parts shrink in proportion where there are too few items.
 */
export function divide(items: number, sizes: { choose: number; validate: number; confirm: number }, seed: number): Parts {
  if (items < LEAST_ITEMS) {
    throw new ActError("data", `A head search needs at least ${LEAST_ITEMS} items for its three parts, but there are only ${items}.`);
  }
  const wanted = sizes.choose + sizes.validate + sizes.confirm;
  const scale = Math.min(1, items / wanted);
  const confirm = Math.max(8, Math.floor(sizes.confirm * scale));
  const validate = Math.max(6, Math.floor(sizes.validate * scale));
  const order = shuffled(
    Array.from({ length: items }, (_, i) => i),
    random(derivedSeed(seed, "parts")),
  );
  return {
    confirm: order.slice(0, confirm),
    validate: order.slice(confirm, confirm + validate),
    choose: order.slice(confirm + validate, confirm + validate + Math.max(8, Math.floor(sizes.choose * scale))),
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
  return (
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
export function planFor(seconds: number, passesPerSecond: number, eligible: number): Plan {
  const affordable = 0.85 * seconds * passesPerSecond;
  const fitting = PLANS.find((plan) => planPasses(plan, eligible) <= affordable);
  if (fitting) return fitting;
  const least = PLANS.at(-1) as Plan;
  const share = Math.max(LEAST_SHARE, affordable / planPasses(least, eligible));
  const of = (prompts: number) => Math.round(share * prompts);
  return { ...least, choose: of(least.choose), validate: of(least.validate), confirm: of(least.confirm) };
}
