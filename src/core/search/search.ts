/**
 * The head search. Three disjoint parts of the prompts: heads and strengths are chosen on the first, candidate sets meet on the second, and the
 * winner alone is compared with no heads on the third. It is a pure function of the options and of what the scorers answer; facts already known
 * (from a journal) are not asked for again, so a search that was killed repeats itself up to where it stopped and goes on.
 */
import { ActError } from "../../protocol/errors.js";
import type { Summary } from "../numbers/paired.js";
import type { Candidate } from "./confirm/arms.js";
import { type Confirmed, confirmWinner } from "./confirm/final.js";
import type { SearchEvent, SearchRecord } from "./events.js";
import { Memory, type Spent } from "./facts.js";
import { gain } from "./grades.js";
import { GRADIENT_PASSES, type GradientScorer } from "./gradient.js";
import { planPasses } from "./plan.js";
import { exhaustiveCandidates, raceCandidates, raceLength } from "./race/race.js";
import { singleJobs } from "./race/singles.js";
import { Run } from "./run.js";
import type { HeadIndex, Scorer, Variant } from "./scorer.js";
import { opening, tunedCandidates, tuningPasses } from "./tuning/tuned.js";

export interface SearchOptions {
  seed: number;
  /** Names of the tasks, by `Scorer.task`; for completions none. */
  tasks?: readonly string[];
  /** Every eligible head alone over the whole choosing part, kept where accuracy rises, as published. */
  exhaustive?: boolean;
  /** Prompts to choose on; default: the plan's. */
  samples?: number;
  /** Prompts to confirm on; default: the plan's. */
  confirm?: number;
  budgetSeconds?: number;
  /** Evaluate only what belongs to this share of the prompts and needs no decision, and stop: see `mergedRecords` in the engine. */
  shard?: { index: number; count: number };
  /** The search's own method moves every head, whether it has a second sink or not (ZeroTuning). */
  alwaysLive?: boolean;
  /** Items without content, for contextual calibration; not among those to divide. */
  contentFree?: readonly number[];
  /** Prompts of the published search of this task, for the comparison of cost; default 900. */
  publishedSamples?: number;
  /** ZeroTuning strengths that compete on the validation part for a place among the rivals. */
  zeroTuning?: readonly number[];
}

export interface SearchResult extends Confirmed {
  method: "gradient" | "race";
  /** Why the race was run although gradients were asked for. */
  fallback: string | null;
  heads: HeadIndex[];
  /** How the heads are calibrated, where not as asked. */
  variant: Variant | null;
  /** How the winning set came about. */
  rule: string;
  sizes: { choose: number; validate: number; confirm: number };
  spent: Spent;
  /** The part of it that chose and validated. */
  finding: Spent;
  exhaustiveTokenLayers: number;
  /** Every candidate that reached validation, with its gain there. */
  validated: { name: string; heads: number; gain: number; standardError: number }[];
}

/** @param gradients null: the race. A model without a backward pass falls back to it. */
export async function* calibrate(
  scorer: Scorer,
  gradients: GradientScorer | null,
  options: SearchOptions,
  known: Iterable<SearchRecord>,
  signal: AbortSignal,
): AsyncGenerator<SearchEvent, SearchResult | null> {
  const records = [...known];
  let fallback: string | null = null;
  let usable = gradients;
  if (gradients && !options.exhaustive && !records.some(({ type }) => type === "slopes")) {
    fallback = await refusal(gradients, signal);
    if (fallback !== null) usable = null;
  }
  const memory = new Memory(scorer, records, usable);
  memory.alwaysLive = options.alwaysLive ?? false;
  return yield* search(new Run(memory, options, signal), fallback);
}

/** Why this model has no gradients: told by its first item. Null where it has. */
async function refusal(gradients: GradientScorer, signal: AbortSignal): Promise<string | null> {
  try {
    for await (const _ of gradients.gradient([0], null, signal));
    return null;
  } catch (error) {
    if (error instanceof ActError && error.code === "unsupported") return error.message;
    throw error;
  }
}

async function* search(run: Run, fallback: string | null): AsyncGenerator<SearchEvent, SearchResult | null> {
  const { memory, options, progress, method } = run;
  yield* run.settlePlan();
  for (const head of memory.scorer.eligible) run.racing.add(head);
  if (options.shard) {
    yield* shardWork(run, options.shard);
    return null;
  }
  expectWork(run);
  progress.begin(method === "gradient" ? "effects" : "race");
  let single: number[][] = [];
  let candidates: Candidate[];
  if (options.exhaustive) candidates = yield* exhaustiveCandidates(run);
  else if (method === "race") candidates = yield* raceCandidates(run);
  else ({ candidates, single } = yield* tunedCandidates(run));
  progress.begin("validate");
  const { winner, summaries } = yield* validate(run, candidates);
  const finding = { ...memory.finding };
  const confirmed = yield* confirmWinner(run, winner, single);
  const { parts } = run;
  const tried = confirmed.confirmed || confirmed.rivals.length > 0;
  return {
    ...confirmed,
    method,
    fallback,
    heads: winner?.heads ?? [],
    variant: winner?.variant ?? null,
    rule: winner?.name ?? "none",
    sizes: { choose: parts.choose.length, validate: parts.validate.length, confirm: tried ? parts.confirm.length : 0 },
    spent: memory.spent,
    finding,
    exhaustiveTokenLayers: exhaustiveTokenLayers(run),
    validated: summaries.map(({ candidate, summary }) => ({
      name: candidate.name,
      heads: candidate.heads.length,
      gain: summary.mean,
      standardError: summary.standardError,
    })),
  };
}

/** What the steps will take, roughly, for the time that is shown. */
function expectWork(run: Run): void {
  const { progress, plan, parts, options, method, memory } = run;
  const { length } = memory.scorer.eligible;
  const confirm = parts.confirm.length;
  if (method === "gradient") {
    progress.expect("effects", GRADIENT_PASSES * plan.effects);
    progress.expect("tune", tuningPasses(run));
  } else if (options.exhaustive) progress.expect("race", parts.choose.length * (1 + 0.4 * length));
  else {
    const whole = planPasses({ ...plan, validate: 0, confirm: 0 }, length);
    const sets = plan.legs.reduce((sum, { prompts, sets: most }) => sum + prompts * Math.min(most, 16), 0);
    progress.expect("race", whole - sets);
    progress.expect("sets", sets);
  }
  progress.expect("validate", parts.validate.length * 4);
  progress.expect("confirm", confirm * 2);
  progress.expect("rivals", Math.min(confirm, 200) * (2 + plan.random) + parts.choose.length + parts.validate.length);
}

/** This shard's part of what needs no decision: single heads or gradients on its prompts, and baselines. */
async function* shardWork(run: Run, { index, count }: { index: number; count: number }): AsyncGenerator<SearchEvent> {
  const { memory, parts, plan, progress, signal, options, method } = run;
  const own = (items: readonly number[]) => items.filter((_, i) => i % count === index);
  if (method === "gradient") {
    const mine = own(parts.choose.slice(0, plan.effects));
    yield* progress.watch("choose", mine.length, memory.needSlopes(mine, null, signal));
    const checked = own(parts.validate);
    yield* progress.watch("baseline", checked.length, memory.needBaselines(checked, signal));
  } else {
    const reach = options.exhaustive ? parts.choose.length : raceLength(plan);
    const all = own(parts.choose);
    yield* progress.watch("baseline", all.length, memory.needBaselines(all, signal));
    const mine = own(parts.choose.slice(0, reach));
    for (const [done, item] of mine.entries())
      yield* progress.watch("choose", mine.length, memory.needScores(singleJobs(memory.scorer.eligible, [item]), signal), () => done);
  }
  memory.stage = "confirm";
  const rest = own(parts.confirm);
  yield* progress.watch("baseline", rest.length, memory.needBaselines(rest, signal));
}

interface Winner {
  winner: Candidate | null;
  summaries: { candidate: Candidate; summary: Summary }[];
}

/** Candidates meet in two legs: what falls behind in the first is no winner. */
async function* validate(run: Run, candidates: readonly Candidate[]): AsyncGenerator<SearchEvent, Winner> {
  const items = run.parts.validate;
  const first = opening(run);
  yield* run.evaluate("validate", candidates, first);
  if (Object.keys(run.grades).length === 0) yield* run.baselines(first);
  const leaders = run.bestOf(candidates, first).slice(0, 2);
  yield* run.evaluate("validate", leaders, items.slice(first.length));
  const ranked = (some: readonly Candidate[]) =>
    some
      .map((candidate) => ({ candidate, summary: gain(run.memory, run.judge, items, candidate) }))
      .sort((a, b) => b.summary.mean - a.summary.mean);
  const summaries = [...ranked(leaders), ...ranked(candidates.filter((one) => !leaders.includes(one)))];
  run.note(leaders, items);
  const [best] = summaries;
  return { winner: best && best.summary.mean > 0 ? best.candidate : null, summaries };
}

/** What the published search would cost: every eligible head alone over 900 prompts (or all there are), each a full pass. */
function exhaustiveTokenLayers(run: Run): number {
  const { choose, validate: checked, confirm } = run.parts;
  const { scorer } = run.memory;
  const prompts = Math.min(run.options.publishedSamples ?? 900, scorer.items);
  return Math.round((scorer.eligible.length + 1) * prompts * run.meanTokens([...choose, ...checked, ...confirm]) * scorer.layers);
}
