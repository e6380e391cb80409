/** A Scorer with known effects, for tests: what each head does is planted, and noise is as measured on a real model. */
import { derivedSeed, integer, normal, random } from "../random.js";
import type { Baseline, Cost, HeadIndex, Job, Outcome, Scored, Scorer } from "./scorer.js";

export interface Planted {
  seed: number;
  layers?: number;
  heads?: number;
  items?: number;
  answers?: number;
  /** What the right answer's score has more than the others; default 1. */
  skill?: number;
  /** Share of the items whose right answer is the first; default: all answers are as frequent. */
  firstRight?: number;
  /** Summand of every baseline score, by answer: what a good set would undo. */
  bias?: readonly number[];
  /** Mean shift of the answers' scores that a head brings, alone. */
  shift(head: HeadIndex): readonly number[] | null;
  /** Spread over prompts of a head's shift, by answer. */
  spread?: number;
  /** Share of the (prompt, head) pairs with a second sink. */
  live?: number;
  /** Completions instead of answers: `shift(head)[0]` is the change of the log-likelihood. */
  completions?: boolean;
}

export class PlantedScorer implements Scorer {
  readonly layers: number;
  readonly heads: number;
  readonly eligible: readonly HeadIndex[];
  readonly items: number;
  readonly metric: "accuracy" | "log-likelihood";
  /** Single evaluations asked for, and jobs that were asked for although none of their heads is live. */
  readonly asked = { jobs: 0, dead: 0, repeated: 0 };
  private readonly answers: number;
  private readonly seen = new Set<string>();
  private readonly drawnItems = new Map<number, { live: boolean[]; noise: number[][] }>();

  constructor(private readonly planted: Planted) {
    this.layers = planted.layers ?? 12;
    this.heads = planted.heads ?? 8;
    this.items = planted.items ?? 500;
    this.answers = planted.answers ?? 2;
    this.metric = planted.completions ? "log-likelihood" : "accuracy";
    const eligible: HeadIndex[] = [];
    for (let layer = 2; layer < this.layers - 1; layer++)
      for (let head = 0; head < this.heads; head++) eligible.push(layer * this.heads + head);
    this.eligible = eligible;
  }

  tokens(): number {
    return 50;
  }

  label(item: number): number | undefined {
    const { completions, seed, firstRight } = this.planted;
    if (completions) return undefined;
    const rng = random(derivedSeed(seed, `label ${item}`));
    if (firstRight === undefined) return integer(rng, this.answers);
    return rng() < firstRight ? 0 : 1 + integer(rng, this.answers - 1);
  }

  /** What is drawn for an item, kept: live heads, and each head's deviation from its mean shift. */
  private drawn(item: number): { live: boolean[]; noise: number[][] } {
    const known = this.drawnItems.get(item);
    if (known) return known;
    const rng = random(derivedSeed(this.planted.seed, `heads of ${item}`));
    const { live = 0.7, spread = 0.02 } = this.planted;
    const total = this.layers * this.heads;
    const drawn = {
      live: Array.from({ length: total }, () => rng() < live),
      noise: Array.from({ length: total }, () => Array.from({ length: this.answers }, () => spread * normal(rng))),
    };
    this.drawnItems.set(item, drawn);
    return drawn;
  }

  private live(item: number, head: HeadIndex): boolean {
    return this.drawn(item).live[head] === true;
  }

  private outcome(item: number, heads: readonly HeadIndex[]): Outcome {
    const { seed, bias = [], completions, skill = 1 } = this.planted;
    const rng = random(derivedSeed(seed, `item ${item}`));
    const label = this.label(item) ?? 0;
    const scores = Array.from({ length: this.answers }, (_, a) => (bias[a] ?? 0) + normal(rng) + (a === label && !completions ? skill : 0));
    for (const head of heads) {
      if (!this.live(item, head)) continue;
      const noise = this.drawn(item).noise[head] ?? [];
      const shift = this.planted.shift(head);
      for (let a = 0; a < this.answers; a++) scores[a] = (scores[a] as number) + (shift?.[a] ?? 0) + (noise[a] ?? 0);
    }
    if (completions) {
      const value = scores[0] as number;
      return { correct: value > 0.5, margin: value, logProbability: value };
    }
    const others = scores.filter((_, a) => a !== label);
    const margin = (scores[label] as number) - Math.max(...others);
    const sum = scores.reduce((total, score) => total + Math.exp(score), 0);
    return { correct: margin > 0, margin, logProbability: (scores[label] as number) - Math.log(sum), answers: scores };
  }

  async *baseline(items: readonly number[], signal: AbortSignal): AsyncGenerator<{ results: Baseline[]; cost: Cost }> {
    for (const item of items) {
      signal.throwIfAborted();
      const live = this.eligible.filter((head) => this.live(item, head));
      yield { results: [{ item, outcome: this.outcome(item, []), live }], cost: { tokenLayers: 50 * this.layers, forwardPasses: 1 } };
    }
  }

  async *score(jobs: readonly Job[], signal: AbortSignal): AsyncGenerator<{ results: Scored[]; cost: Cost }> {
    for (let start = 0; start < jobs.length; start += 8) {
      signal.throwIfAborted();
      const batch = jobs.slice(start, start + 8);
      for (const job of batch) {
        const key = `${job.item}|${job.variant?.beta ?? ""}|${job.heads}`;
        this.asked.jobs++;
        if (this.seen.has(key)) this.asked.repeated++;
        this.seen.add(key);
        if (!job.variant && !job.heads.some((head) => this.live(job.item, head))) this.asked.dead++;
      }
      yield {
        results: batch.map((job) => ({ job, outcome: this.outcome(job.item, job.heads) })),
        cost: {
          tokenLayers: batch.reduce((sum, { heads }) => sum + 50 * (this.layers - Math.floor((heads[0] ?? 0) / this.heads)), 0),
          forwardPasses: batch.length,
        },
      };
    }
  }
}

/** Plants a few heads that undo a bias, a few that worsen it, and leaves the others without effect. */
export function helpful(
  seed: number,
  options: Partial<Planted> = {},
): { scorer: PlantedScorer; good: Set<HeadIndex>; bad: Set<HeadIndex> } {
  const rng = random(derivedSeed(seed, "planted heads"));
  const eligible = new PlantedScorer({ seed, shift: () => null, ...options }).eligible;
  const order = [...eligible].sort(() => rng() - 0.5);
  const good = new Set(order.slice(0, 10));
  const bad = new Set(order.slice(10, 20));
  const shift = (head: HeadIndex) => (good.has(head) ? [-0.18, 0.18] : bad.has(head) ? [0.18, -0.18] : null);
  return { scorer: new PlantedScorer({ seed, bias: [1.2, -1.2], shift, ...options }), good, bad };
}
