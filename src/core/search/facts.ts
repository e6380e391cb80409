/** What is known so far: answers every question once, from a journal where that has it. */
import { derivedSeed } from "../numbers/random.js";
import type { SearchEvent, SearchRecord, SlopeRecord, Stage } from "./events.js";
import type { GradientScorer } from "./gradient.js";
import type { Baseline, Cost, HeadIndex, Job, Outcome, Scorer, Variant } from "./scorer.js";
import { sortedHeads } from "./scorer.js";

/** Numbers as a journal keeps them: rounded once, so that a resumed search computes with the very same ones. */
function rounded(outcome: Outcome): Outcome {
  const digits = (value: number) => Number(value.toPrecision(7));
  return {
    correct: outcome.correct,
    margin: digits(outcome.margin),
    logProbability: digits(outcome.logProbability),
    ...(outcome.answers ? { answers: outcome.answers.map(digits) } : {}),
  };
}

function keyOf(item: number, heads: readonly HeadIndex[], variant?: Variant): string {
  const strength = variant ? `${variant.method}:${variant.betas ? textOf(variant.betas) : variant.beta}|` : "";
  return `${item}|${strength}${textOf(heads)}`;
}

const texts = new WeakMap<readonly number[], string>();

/** A list as text, made once: the same set is asked about for every item. */
function textOf(list: readonly number[]): string {
  const known = texts.get(list);
  if (known !== undefined) return known;
  const text = list.join();
  texts.set(list, text);
  return text;
}

/** A short name for strengths; two of the few hundred in a search never share it. */
function strengthsKey(betas: readonly number[] | null): string {
  if (!betas) return "off";
  const text = betas.join();
  return [1, 2].map((seed) => (derivedSeed(seed, text) >>> 0).toString(16)).join("");
}

export interface Spent extends Cost {
  seconds: number;
}

export class Memory {
  private readonly baselines = new Map<number, { outcome: Outcome; live: Set<HeadIndex> }>();
  private readonly scores = new Map<string, Outcome>();
  /**
   * What this search has asked for. Decisions look at nothing else: a journal may know more (of another shard, of heads that dropped out
   * here), and more knowledge must not lead to another answer.
   */
  private readonly asked = new Set<string>();
  private readonly singles = new Set<number>();
  private readonly slopes = new Map<string, SlopeRecord>();
  private readonly deadlines = new Map<string, boolean>();
  pace: number | null = null;
  /** Everything evaluated for this search, in this run and in those it goes on from. */
  readonly spent: Spent = { tokenLayers: 0, forwardPasses: 0, seconds: 0 };
  /** The part of it that found the set: choosing and validating. */
  readonly finding: Spent = { tokenLayers: 0, forwardPasses: 0, seconds: 0 };
  /** What the facts that are asked for now are for. */
  stage: Stage = "find";

  constructor(
    readonly scorer: Scorer,
    known: Iterable<SearchRecord>,
    readonly gradients: GradientScorer | null = null,
  ) {
    for (const record of known) this.add(record);
  }

  private add(record: SearchRecord): void {
    switch (record.type) {
      case "baseline":
        for (const { item, outcome, live } of record.results) this.baselines.set(item, { outcome, live: new Set(live) });
        this.charge(record);
        break;
      case "slopes":
        for (const result of record.results) this.slopes.set(`${result.item}|${record.at}`, result);
        this.charge(record);
        break;
      case "scores":
        for (const { item, heads, variant, outcome } of record.results) this.scores.set(keyOf(item, heads, variant), outcome);
        this.charge(record);
        break;
      case "pace":
        this.pace = record.tokenLayersPerSecond;
        break;
      case "deadline":
        this.deadlines.set(record.at, record.passed);
        break;
    }
  }

  private charge({ cost, seconds, stage }: { cost: Cost; seconds: number; stage: Stage }): void {
    for (const sum of stage === "find" ? [this.spent, this.finding] : [this.spent]) {
      sum.tokenLayers += cost.tokenLayers;
      sum.forwardPasses += cost.forwardPasses;
      sum.seconds += seconds;
    }
  }

  /** Whether the item's baseline is there. */
  knows(item: number): boolean {
    return this.baselines.has(item);
  }

  /** Whether heads were asked for one by one on this item. */
  outcomesKnown(item: number): boolean {
    return this.singles.has(item);
  }

  baselineOf(item: number): Outcome {
    const known = this.baselines.get(item);
    if (!known) throw new Error(`Item ${item} has no baseline yet.`);
    return known.outcome;
  }

  liveOf(item: number): ReadonlySet<HeadIndex> {
    const known = this.baselines.get(item);
    if (!known) throw new Error(`Item ${item} has no baseline yet.`);
    return known.live;
  }

  /** Exact without evaluation: no head of the set is live, so the item stays as it is. ZeroTuning moves the initial token of every head. */
  private unchanged(item: number, heads: readonly HeadIndex[], variant?: Variant): boolean {
    if (variant?.method === "zero-tuning" || this.alwaysLive) return false;
    const live = this.liveOf(item);
    return !heads.some((head) => live.has(head));
  }

  /** Set where the search's own method is not ACT: liveness means nothing there. */
  alwaysLive = false;

  /** The outcome of a set on an item, or undefined where this search has not asked for it. No heads: the baseline. */
  outcomeOf(item: number, heads: readonly HeadIndex[], variant?: Variant): Outcome | undefined {
    if (heads.length === 0) return this.baselineOf(item);
    const key = keyOf(item, heads, variant);
    if (!this.asked.has(key)) return undefined;
    return this.unchanged(item, heads, variant) ? this.baselineOf(item) : this.scores.get(key);
  }

  /** Evaluates what is not known of these baselines. */
  async *needBaselines(items: readonly number[], signal: AbortSignal): AsyncGenerator<SearchEvent> {
    const missing = items.filter((item) => !this.baselines.has(item));
    if (missing.length === 0) return;
    let start = performance.now();
    for await (const { results, cost } of this.scorer.baseline(missing, signal)) {
      const now = performance.now();
      const clean = results.map((one): Baseline => ({ item: one.item, outcome: rounded(one.outcome), live: sortedHeads(one.live) }));
      yield this.tell({ type: "baseline", results: clean, stage: this.stage, cost, seconds: (now - start) / 1000 });
      start = now;
    }
  }

  /** How many of these jobs nobody has evaluated yet. */
  unknown(jobs: readonly Job[]): number {
    return jobs.filter(({ item, heads, variant }) => !this.unchanged(item, heads, variant) && !this.scores.has(keyOf(item, heads, variant)))
      .length;
  }

  /** Evaluates what is not known of these jobs. */
  async *needScores(jobs: readonly Job[], signal: AbortSignal): AsyncGenerator<SearchEvent> {
    const missing = new Map<string, Job>();
    for (const job of jobs) {
      const key = keyOf(job.item, job.heads, job.variant);
      this.asked.add(key);
      if (job.heads.length === 1 && !job.variant) this.singles.add(job.item);
      if (!this.unchanged(job.item, job.heads, job.variant) && !this.scores.has(key)) missing.set(key, job);
    }
    if (missing.size === 0) return;
    let start = performance.now();
    for await (const { results, cost } of this.scorer.score([...missing.values()], signal)) {
      const now = performance.now();
      const clean = results.map(({ job, outcome }) => ({ ...job, outcome: rounded(outcome) }));
      yield this.tell({ type: "scores", results: clean, stage: this.stage, cost, seconds: (now - start) / 1000 });
      start = now;
    }
  }

  /** The gradient of an item at these strengths, asked for before. */
  slopesOf(item: number, betas: readonly number[] | null): SlopeRecord {
    const known = this.slopes.get(`${item}|${strengthsKey(betas)}`);
    if (!known) throw new Error(`Item ${item} has no gradient at these strengths yet.`);
    return known;
  }

  /** Evaluates what is not known of these gradients. @throws ActError `unsupported` where the model has no backward pass */
  async *needSlopes(items: readonly number[], betas: readonly number[] | null, signal: AbortSignal): AsyncGenerator<SearchEvent> {
    const at = strengthsKey(betas);
    const missing = items.filter((item) => !this.slopes.has(`${item}|${at}`));
    if (missing.length === 0) return;
    if (!this.gradients) throw new Error("This search has no gradients.");
    let start = performance.now();
    for await (const { results, cost } of this.gradients.gradient(missing, betas, signal)) {
      const now = performance.now();
      const clean = results.map(({ item, outcome, gradient }) => ({
        item,
        outcome: rounded(outcome),
        gradient: Array.from(gradient, (slope) => Number(slope.toPrecision(6))),
      }));
      yield this.tell({ type: "slopes", at, results: clean, stage: this.stage, cost, seconds: (now - start) / 1000 });
      start = now;
    }
  }

  /** Measured once, then a fact. */
  *needPace(measure: () => number): Generator<SearchEvent> {
    if (this.pace === null) yield this.tell({ type: "pace", tokenLayersPerSecond: measure() });
  }

  /** Whether the time was up at a named point; asked of the clock once, then a fact. */
  *needDeadline(at: string, passed: () => boolean): Generator<SearchEvent, boolean> {
    if (!this.deadlines.has(at)) yield this.tell({ type: "deadline", at, passed: passed() });
    return this.deadlines.get(at) === true;
  }

  /** Adds a record and makes the event that tells it: known here and in the journal, or in neither. */
  private tell(record: SearchRecord): SearchEvent {
    this.add(record);
    return { type: "record", record };
  }
}
