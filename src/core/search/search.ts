/**
 * The head search. Three disjoint parts of the prompts: heads are chosen on the first, sets meet on the second, and the winner alone is
 * compared with no heads on the third. It is a pure function of the options and of what the Scorer answers; facts already known (from a
 * journal) are not asked for again, so a search that was killed repeats itself up to where it stopped and goes on.
 */
import type { CalibrateProgress } from "../../protocol/engine.js";
import type { Summary } from "../numbers/paired.js";
import { quantile } from "../numbers/timing.js";
import { type Candidate, candidateSets, distinct, publishedRule, refined } from "./candidates.js";
import { type Arm, type ArmResult, beatsConstant, compareArm, compareContextual, constantAnswer, randomArms } from "./confirm.js";
import type { SearchEvent, SearchRecord } from "./events.js";
import { Memory, type Spent } from "./facts.js";
import { accuracy, type Grade, type Grades, gain, gradesFor } from "./grades.js";
import { DEFAULT_PLAN, divide, type Parts, type Plan, planFor, planPasses } from "./plan.js";
import type { HeadIndex, Job, Scorer, Variant } from "./scorer.js";
import { headScore, raceSingles, singleJobs } from "./singles.js";

export interface SearchOptions {
  seed: number;
  /** Every eligible head alone over the whole choosing part, kept where accuracy rises, as published. */
  exhaustive?: boolean;
  /** Prompts to choose on; default: the plan's. */
  samples?: number;
  /** Prompts to confirm on; default: the plan's. */
  confirm?: number;
  budgetSeconds?: number;
  /** Evaluate only what belongs to this share of the choosing prompts, and stop: see `mergeKnown` in the engine. */
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

export interface SearchResult {
  heads: HeadIndex[];
  /** How the winning set came about. */
  rule: string;
  helps: boolean;
  verdict: string;
  /** The winner against no heads; null where no candidate reached the confirmation (the rivals may have been compared all the same). */
  confirmed: ArmResult | null;
  rivals: ArmResult[];
  sizes: { choose: number; validate: number; confirm: number };
  spent: Spent;
  exhaustiveTokenLayers: number;
  /** Every candidate that reached validation, with its gain there. */
  validated: { name: string; heads: number; gain: number; standardError: number }[];
}

export async function* calibrate(
  scorer: Scorer,
  options: SearchOptions,
  known: Iterable<SearchRecord>,
  signal: AbortSignal,
): AsyncGenerator<SearchEvent, SearchResult | null> {
  const memory = new Memory(scorer, known);
  memory.alwaysLive = options.alwaysLive ?? false;
  const search = new Search(memory, options, signal);
  return yield* search.run();
}

class Search {
  private plan: Plan = DEFAULT_PLAN;
  private parts: Parts = { choose: [], validate: [], confirm: [] };
  private grades: Grades = {};
  private part: CalibrateProgress["part"] = "baseline";
  private total = 0;
  private best: CalibrateProgress["best"] = null;
  private readonly racing: Set<HeadIndex>;
  private readonly started = performance.now();
  private readonly spentBefore: number;

  constructor(
    private readonly memory: Memory,
    private readonly options: SearchOptions,
    private readonly signal: AbortSignal,
  ) {
    this.racing = new Set(memory.scorer.eligible);
    this.spentBefore = memory.spent.seconds;
  }

  private get scorer(): Scorer {
    return this.memory.scorer;
  }

  /** Seconds spent on this search, in this run and in those it goes on from. */
  private get elapsed(): number {
    return this.spentBefore + (performance.now() - this.started) / 1000;
  }

  async *run(): AsyncGenerator<SearchEvent, SearchResult | null> {
    yield* this.settlePlan();
    if (this.options.shard) {
      yield* this.runShard(this.options.shard);
      return null;
    }
    const candidates = this.options.exhaustive ? yield* this.exhaustive() : yield* this.fast();
    const winner = yield* this.validate(candidates);
    return yield* this.confirm(winner);
  }

  /** Baselines of choosing prompts, and the grades that are scaled by them. */
  private async *baselines(items: readonly number[]): AsyncGenerator<SearchEvent> {
    const { memory, parts, scorer } = this;
    const known = () => parts.choose.filter((item) => memory.knows(item));
    yield* this.watch("baseline", parts.choose.length, memory.needBaselines(items, this.signal), () => known().length);
    this.grades = gradesFor(
      scorer.metric,
      items.map((item) => memory.baselineOf(item)),
    );
  }

  /** Sizes of the parts: asked for, or what the budget allows at the pace of the first prompts. */
  private async *settlePlan(): AsyncGenerator<SearchEvent> {
    const { budgetSeconds, samples, confirm, seed, exhaustive } = this.options;
    const adjust = (plan: Plan): Plan => ({
      ...plan,
      ...(samples === undefined ? {} : { choose: samples, validate: Math.max(6, Math.min(plan.validate, samples)) }),
      ...(confirm === undefined ? {} : { confirm }),
    });
    if (budgetSeconds !== undefined && !exhaustive) {
      const probe = divide(this.scorer.items, adjust(this.plan), seed).confirm.slice(0, 6);
      const rates: number[] = [];
      for (const item of probe) {
        const { tokenLayers, seconds } = { ...this.memory.spent };
        yield* this.watch("baseline", probe.length, this.memory.needBaselines([item], this.signal));
        const now = this.memory.spent;
        // One that a journal knows takes no time now.
        if (now.seconds > seconds) rates.push((now.tokenLayers - tokenLayers) / (now.seconds - seconds));
      }
      const { spent } = this.memory;
      // The median: the first pass of a context pays for its memory, and a request may come in between.
      yield* this.memory.needPace(() => (rates.length > 0 ? quantile(rates, 0.5) : spent.tokenLayers / Math.max(spent.seconds, 1e-3)));
      const layersPerPass = this.meanTokens(probe) * this.scorer.layers;
      this.plan = planFor(budgetSeconds, (this.memory.pace as number) / layersPerPass, this.scorer.eligible.length);
    }
    this.plan = adjust(this.plan);
    this.parts = divide(this.scorer.items, this.plan, seed);
  }

  private meanTokens(items: readonly number[]): number {
    return items.reduce((sum, item) => sum + this.scorer.tokens(item), 0) / Math.max(1, items.length);
  }

  /** The first leg of the race over this shard's prompts, and in an exhaustive search all of it: what needs no decision. */
  private async *runShard({ index, count }: { index: number; count: number }): AsyncGenerator<SearchEvent> {
    const reach = this.options.exhaustive ? this.parts.choose.length : this.plan.rungs.reduce((sum, rung) => sum + rung.prompts, 0);
    const own = (items: readonly number[]) => items.filter((_, i) => i % count === index);
    yield* this.watch("baseline", own(this.parts.choose).length, this.memory.needBaselines(own(this.parts.choose), this.signal));
    const mine = own(this.parts.choose.slice(0, reach));
    for (const [done, item] of mine.entries()) {
      yield* this.watch("choose", mine.length, this.memory.needScores(singleJobs(this.scorer.eligible, [item]), this.signal), () => done);
    }
  }

  private async *exhaustive(): AsyncGenerator<SearchEvent, Candidate[]> {
    const { choose } = this.parts;
    yield* this.baselines(choose);
    for (const [done, item] of choose.entries()) {
      yield* this.watch("choose", choose.length, this.memory.needScores(singleJobs(this.scorer.eligible, [item]), this.signal), () => done);
    }
    yield this.rankingOf(choose);
    const candidate = publishedRule(this.memory, choose);
    return candidate.heads.length > 0 ? [candidate] : [];
  }

  private async *fast(): AsyncGenerator<SearchEvent, Candidate[]> {
    const { choose } = this.parts;
    const { memory, signal, plan } = this;
    let measured = choose.slice(
      0,
      plan.rungs.reduce((sum, rung) => sum + rung.prompts, 0),
    );
    const seen = () => measured.filter((item) => memory.outcomesKnown(item)).length;
    // The first leg needs the baselines of its own prompts only: so there is a ranking to look at soon.
    const opening = measured.slice(0, plan.rungs[0]?.prompts);
    const race = (items: readonly number[], rungs: Plan["rungs"]) =>
      this.watch("choose", measured.length, raceSingles(memory, items, rungs, this.grades, this.racing, signal), seen, measured);
    yield* this.baselines(opening);
    yield* race(opening, plan.rungs.slice(0, 1));
    yield* this.baselines(choose);
    if (yield* this.late("race", 0.35)) measured = opening;
    else yield* race(choose, plan.rungs);
    const { grades } = this;
    let candidates = yield* candidateSets(memory, measured, choose, grades);
    yield this.rankingOf(measured, candidates);

    // Sets race on choosing prompts that the single heads did not see first.
    const order = [...choose.slice(measured.length), ...measured];
    let reach = 0;
    for (const { prompts: more, sets } of plan.legs) {
      if (yield* this.late(`leg at ${reach}`, 0.5)) break;
      if (reach > 0) candidates = this.bestOf(candidates, order.slice(0, reach)).slice(0, sets);
      const items = order.slice(reach, reach + more);
      yield* this.evaluate("choose", candidates, items);
      reach = Math.min(order.length, reach + more);
      this.note(candidates, order.slice(0, reach));
    }
    candidates = this.bestOf(candidates, order.slice(0, Math.max(1, reach)));

    const trial = order.slice(0, Math.min(order.length, plan.refine.prompts));
    for (let round = 1; round <= plan.refine.rounds; round++) {
      if (yield* this.late(`refinement ${round}`, 0.6)) break;
      const [leader] = this.bestOf(candidates, trial);
      if (!leader) break;
      // Later rounds move less: the prediction is good near what was measured only.
      const next = yield* refined(memory, leader, trial, choose, round, Math.max(2, Math.round(16 / round)));
      if (!next || candidates.some(({ heads }) => heads.join() === next.heads.join())) break;
      yield* this.evaluate("choose", [next], trial);
      candidates = [next, ...candidates];
      this.note(candidates, trial);
    }
    candidates = this.bestOf(candidates, trial);
    // The published rule always has a seat: it is what the fast search is measured against.
    return distinct([...candidates.slice(0, plan.finalists), ...[publishedRule(memory, measured)].filter(({ heads }) => heads.length > 0)]);
  }

  /** What sets are compared by: close to the metric, with less noise than whole answers. */
  private get judge(): Grade {
    const { sharp, likelihood } = this.grades;
    if (likelihood) return likelihood;
    return (outcome) => (accuracy(outcome) + 2 * (sharp as Grade)(outcome)) / 3;
  }

  private bestOf(candidates: readonly Candidate[], items: readonly number[]): Candidate[] {
    const value = new Map(candidates.map((candidate) => [candidate, gain(this.memory, this.judge, items, candidate.heads).mean]));
    return [...candidates].sort((a, b) => (value.get(b) as number) - (value.get(a) as number));
  }

  /** Evaluates sets on items, all sets of one item together so that they share a batch. */
  private async *evaluate(part: CalibrateProgress["part"], arms: readonly Arm[], items: readonly number[]): AsyncGenerator<SearchEvent> {
    yield* this.watch("baseline", items.length, this.memory.needBaselines(items, this.signal));
    const jobs: Job[] = items.flatMap((item) => arms.map(({ heads, variant }) => ({ item, heads, ...(variant ? { variant } : {}) })));
    const open = () => jobs.filter((job) => this.memory.outcomeOf(job.item, job.heads, job.variant) !== undefined).length;
    yield* this.watch(part, jobs.length, this.memory.needScores(jobs, this.signal), open);
  }

  private async *validate(candidates: readonly Candidate[]): AsyncGenerator<SearchEvent, Winner> {
    const { validate } = this.parts;
    // Two legs: what falls behind in the first is no winner.
    const opening = validate.slice(0, Math.max(20, Math.round(0.4 * validate.length)));
    yield* this.evaluate("validate", candidates, opening);
    const leaders = this.bestOf(candidates, opening).slice(0, 2);
    yield* this.evaluate("validate", leaders, validate.slice(opening.length));
    const ranked = (some: readonly Candidate[]) =>
      some
        .map((candidate) => ({ candidate, summary: gain(this.memory, this.judge, validate, candidate.heads) }))
        .sort((a, b) => b.summary.mean - a.summary.mean);
    const summaries = [...ranked(leaders), ...ranked(candidates.filter((one) => !leaders.includes(one)))];
    this.note(leaders, validate);
    const [first] = summaries;
    return { winner: first && first.summary.mean > 0 ? first.candidate : null, summaries };
  }

  private async *confirm({ winner, summaries }: Winner): AsyncGenerator<SearchEvent, SearchResult> {
    const { memory, parts, options } = this;
    const { confirm } = parts;
    const validated = summaries.map(({ candidate, summary }) => ({
      name: candidate.name,
      heads: candidate.heads.length,
      gain: summary.mean,
      standardError: summary.standardError,
    }));
    const sizes = { choose: parts.choose.length, validate: parts.validate.length, confirm: confirm.length };
    const base = { sizes, validated, exhaustiveTokenLayers: this.exhaustiveTokenLayers() };
    if (!winner) {
      const verdict = `Calibration does not help this model here: no set of heads did better than none on ${sizes.validate} validation prompts. It is left off.`;
      // Nobody waits for comparisons that switch nothing on while writing code; for a task they are half of the answer.
      const rivals = this.scorer.metric === "accuracy" ? yield* this.rivals(null) : [];
      const nothing = { heads: [], rule: "none", helps: false, verdict, confirmed: null };
      return { ...base, ...nothing, sizes: { ...sizes, confirm: rivals.length > 0 ? confirm.length : 0 }, spent: memory.spent, rivals };
    }
    // The winner comes first: whatever is cut short afterwards, its own comparison is complete.
    const chosen: Arm = { name: "chosen set", heads: winner.heads };
    yield* this.evaluate("confirm", [chosen], confirm);
    const confirmed = compareArm(memory, chosen, confirm, options.seed);
    const { difference, interval } = confirmed;
    this.best = { name: winner.name, heads: winner.heads.length, difference, interval, items: confirm.length };
    const rivals = yield* this.rivals(chosen);
    const constant = constantAnswer(memory, confirm);
    const helps = interval[0] > 0 && (!constant || beatsConstant(memory, chosen, confirm, constant.right));
    return {
      ...base,
      spent: memory.spent,
      heads: winner.heads,
      rule: winner.name,
      helps,
      verdict: this.sentence(confirmed, helps, constant?.rival),
      confirmed,
      rivals,
    };
  }

  /** The other arms of the confirmation, each against no heads, as far as the time goes. */
  private async *rivals(chosen: Arm | null): AsyncGenerator<SearchEvent, ArmResult[]> {
    const { memory, parts, options, plan } = this;
    const rivals: ArmResult[] = [];
    const { eligible } = this.scorer;
    const arms: Arm[] = [
      // Random sets as large as all heads would be all heads.
      ...(chosen && chosen.heads.length < eligible.length ? randomArms(eligible, chosen.heads.length, plan.random, options.seed) : []),
      { name: "all eligible heads", heads: eligible },
    ];
    for (const arm of arms) {
      if (yield* this.late(arm.name, 0.9)) break;
      yield* this.evaluate("confirm", [arm], parts.confirm);
      rivals.push(compareArm(memory, arm, parts.confirm, options.seed));
    }
    yield* this.contextual(chosen, rivals);
    // Costs nothing, but the baselines must be there: where the time was up at once, they are not.
    const constant = rivals.length > 0 ? constantAnswer(memory, parts.confirm) : null;
    if (constant) rivals.push(constant.rival);
    if (!(yield* this.late("ZeroTuning", 0.8))) yield* this.zeroTuning(rivals);
    return rivals;
  }

  /** Contextual calibration costs a pass for each input without content, so it is compared whatever the time. */
  private async *contextual(chosen: Arm | null, rivals: ArmResult[]): AsyncGenerator<SearchEvent> {
    const { memory, parts } = this;
    const { contentFree = [] } = this.options;
    if (contentFree.length === 0) return;
    yield* this.evaluate("confirm", chosen ? [chosen] : [], [...contentFree, ...parts.confirm]);
    for (const arm of [
      { name: "contextual calibration alone", heads: [] },
      ...(chosen ? [{ ...chosen, name: "contextual calibration with the chosen set" }] : []),
    ])
      rivals.push(compareContextual(memory, arm, parts.confirm, contentFree));
  }

  /** ZeroTuning of all heads, its strength chosen on validation prompts. */
  private async *zeroTuning(rivals: ArmResult[]): AsyncGenerator<SearchEvent> {
    const { memory, options, parts } = this;
    const { zeroTuning = [] } = options;
    if (zeroTuning.length === 0) return;
    const trial = parts.validate.slice(0, 30);
    const arms = zeroTuning.map((beta): Arm & { variant: Variant } => ({
      name: `ZeroTuning of all eligible heads, x ${beta}`,
      heads: this.scorer.eligible,
      variant: { method: "zero-tuning", beta },
    }));
    yield* this.evaluate("confirm", arms, trial);
    const values = arms.map((arm) =>
      trial.reduce((sum, item) => sum + this.judge(memory.outcomeOf(item, arm.heads, arm.variant) ?? memory.baselineOf(item)), 0),
    );
    const best = arms[values.indexOf(Math.max(...values))];
    if (!best) return;
    yield* this.evaluate("confirm", [best], parts.confirm);
    rivals.push(compareArm(memory, best, parts.confirm, options.seed));
  }

  private sentence({ difference, interval, baseline, calibrated, n, heads }: ArmResult, helps: boolean, constant?: ArmResult): string {
    const accuracyLike = this.scorer.metric === "accuracy";
    const number = (value: number) => (accuracyLike ? `${(100 * value).toFixed(1)}` : value.toFixed(4));
    const unit = accuracyLike ? " points" : " nats a token";
    const numbers = `${number(baseline)} without, ${number(calibrated)} with, difference ${number(difference)}${unit} (95 % interval ${number(interval[0])} to ${number(interval[1])}, ${n} untouched prompts)`;
    const set = heads === 1 ? "1 head" : `${heads} heads`;
    if (helps) return `Calibrating ${set} helps here: ${numbers}.`;
    return interval[0] > 0 && constant
      ? `Calibration does not help this model here: the best set, ${set}, is better than none, ${numbers}, but always giving the same answer is not surely worse (${number(constant.calibrated)}). It is left off.`
      : `Calibration does not help this model here: the best set, ${set}, is not surely better than none: ${numbers}. It is left off.`;
  }

  /** What the published search would cost: every eligible head alone over 900 prompts (or all there are), each a full pass. */
  private exhaustiveTokenLayers(): number {
    const all = [...this.parts.choose, ...this.parts.validate, ...this.parts.confirm];
    const prompts = Math.min(this.options.publishedSamples ?? 900, this.scorer.items);
    return Math.round((this.scorer.eligible.length + 1) * prompts * this.meanTokens(all) * this.scorer.layers);
  }

  /** Whether `share` of the budget is used up, decided once and kept. Never without a budget. */
  private *late(at: string, share: number): Generator<SearchEvent, boolean> {
    const { budgetSeconds } = this.options;
    if (budgetSeconds === undefined) return false;
    return yield* this.memory.needDeadline(at, () => this.elapsed > share * budgetSeconds);
  }

  private note(candidates: readonly Candidate[], items: readonly number[]): void {
    const [leader] = this.bestOf(candidates, items);
    if (!leader) return;
    const grade = this.scorer.metric === "accuracy" ? accuracy : this.judge;
    const { mean, standardError, count } = gain(this.memory, grade, items, leader.heads);
    const half = Number.isFinite(standardError) ? 1.96 * standardError : 1;
    this.best = {
      name: leader.name,
      heads: leader.heads.length,
      difference: mean,
      interval: [mean - half, mean + half],
      items: count,
    };
  }

  /** Passes records on and tells the progress after each. `done` counts what is known; default: the records' items. */
  private async *watch<T>(
    part: CalibrateProgress["part"],
    total: number,
    events: AsyncGenerator<SearchEvent, T>,
    done?: () => number,
    ranked?: readonly number[],
  ): AsyncGenerator<SearchEvent, T> {
    let counted = 0;
    for (;;) {
      const step = await events.next();
      if (step.done) return step.value;
      yield step.value;
      if (step.value.type !== "record") continue;
      this.part = part;
      this.total = total;
      const { record } = step.value;
      if (record.type === "baseline") counted += record.results.length;
      const touched = new Set<HeadIndex>();
      if (record.type === "scores") for (const { heads } of record.results) if (heads.length === 1) touched.add(heads[0] as HeadIndex);
      yield this.progress(done ? done() : counted, [...touched], ranked);
    }
  }

  private progress(done: number, touched: readonly HeadIndex[], ranked: readonly number[] = this.parts.choose): SearchEvent {
    const { memory } = this;
    const { forwardPasses, seconds } = memory.spent;
    const { budgetSeconds } = this.options;
    const rate = seconds > 0 ? forwardPasses / seconds : 0;
    return {
      type: "progress",
      progress: {
        part: this.part,
        done,
        total: this.total,
        promptsPerSecond: rate,
        secondsLeft:
          budgetSeconds !== undefined && this.elapsed < budgetSeconds
            ? budgetSeconds - this.elapsed
            : rate > 0
              ? Math.max(this.total - done, this.plannedPasses() - forwardPasses) / rate
              : null,
        forwardPasses,
        heads: touched.map((head) => headScore(memory, head, ranked, this.grades, this.racing)),
        best: this.best,
      },
    };
  }

  /** Passes that the whole search takes, roughly. */
  private plannedPasses(): number {
    const { plan, options, parts } = this;
    const { length } = this.scorer.eligible;
    if (!options.exhaustive) return planPasses(plan, length);
    return parts.choose.length * (1 + 0.7 * length) + 2 * parts.validate.length + (3 + plan.random) * parts.confirm.length;
  }

  /** The whole ranking once more, with who is kept. */
  private rankingOf(items: readonly number[], candidates: readonly Candidate[] = []): SearchEvent {
    // All heads together are a candidate too, but keep no head for its own sake.
    const chosen = candidates.filter(({ heads }) => heads.length < this.scorer.eligible.length);
    const kept = new Set(chosen.flatMap(({ heads }) => heads));
    const event = this.progress(this.total, this.scorer.eligible, items);
    if (event.type === "progress") {
      for (const score of event.progress.heads) {
        if (kept.has(score.layer * this.scorer.heads + score.head)) score.state = "kept";
      }
    }
    return event;
  }
}

interface Winner {
  winner: Candidate | null;
  summaries: { candidate: Candidate; summary: Summary }[];
}
