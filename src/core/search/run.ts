/** What the parts of a search share: the prompts, what is known of them, how sets are judged, and how much time is left. */
import type { CalibrateProgress } from "../../protocol/engine.js";
import { quantile } from "../numbers/timing.js";
import type { Candidate } from "./confirm/arms.js";
import type { SearchEvent } from "./events.js";
import type { Memory } from "./facts.js";
import { accuracy, type Grade, type Grades, gain, gradesFor } from "./grades.js";
import { divide, type Parts, type Plan, plansOf } from "./plan.js";
import { Progress } from "./progress.js";
import type { HeadIndex, HeadSetting, Job } from "./scorer.js";
import type { SearchOptions } from "./search.js";

export class Run {
  plan: Plan;
  parts: Parts = { choose: [], validate: [], confirm: [] };
  grades: Grades = {};
  readonly progress: Progress;
  private readonly started = performance.now();
  private readonly spentBefore: number;

  constructor(
    readonly memory: Memory,
    readonly options: SearchOptions,
    readonly signal: AbortSignal,
  ) {
    this.plan = plansOf(this.method).default;
    this.spentBefore = memory.spent.seconds;
    this.progress = new Progress(this);
  }

  get method(): "gradient" | "race" {
    return this.memory.gradients && !this.options.exhaustive ? "gradient" : "race";
  }

  /** Seconds spent on this search, in this run and in those it goes on from. */
  get elapsed(): number {
    return this.spentBefore + (performance.now() - this.started) / 1000;
  }

  /** Sizes of the parts: asked for, or what the budget allows at the pace of the first prompts. */
  async *settlePlan(): AsyncGenerator<SearchEvent> {
    const { memory, options } = this;
    const { budgetSeconds, samples, confirm, seed, exhaustive } = options;
    const adjust = (plan: Plan): Plan => ({
      ...plan,
      ...(samples === undefined ? {} : { choose: samples, validate: Math.max(6, Math.min(plan.validate, samples)) }),
      ...(confirm === undefined ? {} : { confirm }),
    });
    if (budgetSeconds !== undefined && !exhaustive) {
      const probe = divide(memory.scorer, adjust(this.plan), seed).confirm.slice(0, 6);
      const rates: number[] = [];
      for (const item of probe) {
        const { tokenLayers, seconds } = { ...memory.spent };
        yield* this.progress.watch("baseline", probe.length, memory.needBaselines([item], this.signal));
        const now = memory.spent;
        // One that a journal knows takes no time now.
        if (now.seconds > seconds) rates.push((now.tokenLayers - tokenLayers) / (now.seconds - seconds));
      }
      const { spent } = memory;
      // The median: the first pass of a context pays for its memory, and a request may come in between.
      yield* memory.needPace(() => (rates.length > 0 ? quantile(rates, 0.5) : spent.tokenLayers / Math.max(spent.seconds, 1e-3)));
      const layersPerPass = this.meanTokens(probe) * memory.scorer.layers;
      this.plan = plansOf(this.method).within(budgetSeconds, (memory.pace as number) / layersPerPass, memory.scorer.eligible.length);
    }
    this.plan = adjust(this.plan);
    this.parts = divide(memory.scorer, this.plan, seed);
  }

  meanTokens(items: readonly number[]): number {
    return items.reduce((sum, item) => sum + this.memory.scorer.tokens(item), 0) / Math.max(1, items.length);
  }

  /** Baselines of some prompts, and the grades that are scaled by them. */
  async *baselines(items: readonly number[]): AsyncGenerator<SearchEvent> {
    const { memory, progress, signal } = this;
    yield* progress.watch(
      "baseline",
      items.length,
      memory.needBaselines(items, signal),
      () => items.filter((item) => memory.knows(item)).length,
    );
    this.grades = gradesFor(memory, items);
  }

  /** What sets are compared by: close to the metric, with less noise than whole answers. */
  get judge(): Grade {
    const { sharp, likelihood } = this.grades;
    if (likelihood) return likelihood;
    return (outcome, item) => (accuracy(outcome, item) + 2 * (sharp as Grade)(outcome, item)) / 3;
  }

  /** Sets by their mean gain on these items, best first. */
  bestOf(candidates: readonly Candidate[], items: readonly number[]): Candidate[] {
    const value = new Map(candidates.map((candidate) => [candidate, gain(this.memory, this.judge, items, candidate).mean]));
    return [...candidates].sort((a, b) => (value.get(b) as number) - (value.get(a) as number));
  }

  /** Evaluates sets on items, all sets of one item together so that they share a batch. */
  async *evaluate(part: CalibrateProgress["part"], arms: readonly HeadSetting[], items: readonly number[]): AsyncGenerator<SearchEvent> {
    const { memory, signal } = this;
    yield* this.progress.watch("baseline", items.length, memory.needBaselines(items, signal));
    const jobs: Job[] = items.flatMap((item) => arms.map(({ heads, variant }) => ({ item, heads, ...(variant ? { variant } : {}) })));
    let done = jobs.length - memory.unknown(jobs);
    yield* this.progress.watch(part, jobs.length, memory.needScores(jobs, signal), (added) => {
      done += added;
      return done;
    });
  }

  /** Whether `share` of the budget is used up, decided once and kept. Never without a budget. */
  *late(at: string, share: number): Generator<SearchEvent, boolean> {
    const { budgetSeconds } = this.options;
    if (budgetSeconds === undefined) return false;
    return yield* this.memory.needDeadline(at, () => this.elapsed > share * budgetSeconds);
  }

  /** Shows the leader of some candidates, with its gain so far. */
  note(candidates: readonly Candidate[], items: readonly number[]): void {
    const [leader] = this.bestOf(candidates, items);
    if (!leader) return;
    const grade = this.memory.scorer.metric === "accuracy" ? accuracy : this.judge;
    const { mean, standardError, count } = gain(this.memory, grade, items, leader);
    const half = Number.isFinite(standardError) ? 1.96 * standardError : 1;
    const interval: [number, number] = [mean - half, mean + half];
    this.progress.best = { name: leader.name, heads: leader.heads.length, difference: mean, interval, items: count };
  }

  /** Heads that are still in the race. */
  readonly racing = new Set<HeadIndex>();
}
