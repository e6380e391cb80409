import { columnLimit } from "../../core/act.js";
import type { Baseline, Cost, HeadIndex, Job, Outcome, Scored, Scorer, Variant } from "../../core/search/scorer.js";
import { toHead, toIndex } from "../../core/search/scorer.js";
import { sinksAt } from "../../core/sinks/values.js";
import type { Calibration, Head } from "../../protocol/calibration.js";
import { ActError } from "../../protocol/errors.js";
import type { ColumnMeans, NativeContext } from "../native/native.js";
import { cancelled, type Turn } from "../queue.js";
import type { SegmentNeeds } from "../run/model.js";
import { SetBatch } from "../run/set-batch.js";

/** An item ready to evaluate: its prompt as one segment, and what is read from the logits after it. */
export interface ScorerItem {
  tokens: readonly number[];
  /** Token whose logit stands for each answer; empty for completions. */
  answers: readonly number[];
  /** Index of its task among those of a search; default: the first. */
  task?: number;
  /** What it says: items that say the same are never on both sides of a division; default: its tokens. */
  text?: string;
  /** Index into `answers`; undefined where nothing is right (content-free inputs). */
  label?: number;
  /** Completions: the true continuation, evaluated as the segment after the prompt. */
  truth?: readonly number[];
  /** Tokens of `truth` that make up its first line. */
  firstLine?: number;
}

/** The strength at which heads are calibrated; the heads come with each job. */
export type Strength = Omit<Calibration, "heads" | "betas">;

/** Layer inputs of recent prompts are kept up to this many bytes, so that jobs restart at their first changed layer. */
const INPUT_BYTES = 192 * 2 ** 20;
/** Most sequences of one batch. Wider ones gained nothing on the CPU (test/bench/README.md). */
export const BATCH_SEQUENCES = 8;
/** Most tokens of one batch, but for a single prompt that is longer. */
const BATCH_TOKENS = 2048;

interface LayerInputs {
  /** [layer] -> [prompt tokens][embedding width]. */
  prompt: Float32Array[];
  /** The same for the continuation's segment; empty where there is none. */
  truth: Float32Array[];
  bytes: number;
}

/** What a context must offer to score these items with `sequences` sets side by side. */
export function scorerNeeds(items: readonly ScorerItem[], sequences = BATCH_SEQUENCES): SegmentNeeds {
  const longest = items.reduce((most, { tokens }) => Math.max(most, tokens.length), 1);
  const whole = items.reduce((most, { tokens, truth = [] }) => Math.max(most, tokens.length + truth.length), 1);
  // Long prompts go in fewer sequences side by side: their batches are wide enough.
  return { segment: Math.max(longest, Math.min(longest * sequences, BATCH_TOKENS)), contextSize: whole, sequences };
}

/**
 * Scores items on the loaded model. Many head sets of one prompt are evaluated as sequences of one batch, from the lowest layer that any of
 * them changes: below it the baseline's residual stream is taken over. A batch that is in the way of a user's request is aborted and
 * repeated afterwards.
 */
export class EngineScorer implements Scorer {
  readonly layers: number;
  readonly heads: number;
  readonly eligible: readonly HeadIndex[];
  readonly metric: "accuracy" | "log-likelihood";
  private readonly batch: SetBatch;
  private readonly clusters: number[];
  private readonly inputs = new Map<number, LayerInputs>();
  private inputBytes = 0;
  private readonly live = new Map<number, Set<HeadIndex>>();

  constructor(
    model: { info: { layers: number; heads: number } },
    context: NativeContext,
    private readonly pool: readonly ScorerItem[],
    /** Items of the pool that may be divided into parts; those behind them are inputs without content. */
    readonly items: number,
    private readonly strength: Strength,
    eligible: readonly Head[],
    turn: Turn,
  ) {
    this.batch = new SetBatch(context, turn);
    this.layers = model.info.layers;
    this.heads = model.info.heads;
    this.eligible = eligible.map((head) => toIndex(head, this.heads));
    const clusters = new Map<string, number>();
    this.clusters = pool.map(({ text, tokens, truth = [] }, item) => {
      const key = text ?? [...tokens, -1, ...truth].join();
      if (!clusters.has(key)) clusters.set(key, item);
      return clusters.get(key) as number;
    });
    this.metric = pool.some(({ truth }) => truth) ? "log-likelihood" : "accuracy";
  }

  tokens(item: number): number {
    const { tokens, truth = [] } = this.at(item);
    return tokens.length + Math.max(0, truth.length - 1);
  }

  task(item: number): number {
    return this.at(item).task ?? 0;
  }

  cluster(item: number): number {
    return this.clusters[item] as number;
  }

  label(item: number): number | undefined {
    return this.at(item).label;
  }

  async *baseline(items: readonly number[], signal: AbortSignal): AsyncGenerator<{ results: Baseline[]; cost: Cost }> {
    for (const item of items) {
      if (signal.aborted) throw cancelled();
      const { outcome, live } = await this.instrument(item, false, signal);
      yield { results: [{ item, outcome, live }], cost: { tokenLayers: this.tokens(item) * this.layers, forwardPasses: 1 } };
    }
  }

  async *score(jobs: readonly Job[], signal: AbortSignal): AsyncGenerator<{ results: Scored[]; cost: Cost }> {
    const byItem = new Map<number, Job[]>();
    for (const job of jobs) byItem.set(job.item, [...(byItem.get(job.item) ?? []), job]);
    for (const [item, own] of byItem) {
      const cost: Cost = { tokenLayers: 0, forwardPasses: 0 };
      const starts = new Map<Job, number>();
      const settle = () => {
        for (const job of own) starts.set(job, this.firstChanged(job));
        return own.reduce((sum, job) => sum + (starts.get(job) as number), 0);
      };
      // Layer inputs are worth another pass where they save more layers than it costs (they may have been dropped, or the search resumed).
      if (settle() > this.layers && !this.inputs.has(item)) {
        await this.charged(item, cost, signal);
        settle();
      }
      const sorted = [...own].sort((a, b) => (starts.get(a) as number) - (starts.get(b) as number));
      const width = this.batch.width(this.at(item).tokens.length);
      for (let at = 0; at < sorted.length; at += width) {
        if (signal.aborted) throw cancelled();
        const batch = sorted.slice(at, at + width);
        const start = this.inputs.has(item) ? Math.min(...batch.map((job) => starts.get(job) as number)) : 0;
        const outcomes = await this.evaluate(item, batch, start, signal);
        cost.tokenLayers += batch.length * this.tokens(item) * (this.layers - start);
        cost.forwardPasses += batch.length;
        yield { results: batch.map((job, i) => ({ job, outcome: outcomes[i] as Outcome })), cost: { ...cost } };
        cost.tokenLayers = 0;
        cost.forwardPasses = 0;
      }
    }
  }

  private at(item: number): ScorerItem {
    const found = this.pool[item];
    if (!found) throw new ActError("internal", `There is no item ${item} among ${this.pool.length}.`);
    return found;
  }

  private async charged(item: number, cost: Cost, signal: AbortSignal): Promise<void> {
    await this.instrument(item, true, signal);
    cost.tokenLayers += this.tokens(item) * this.layers;
    cost.forwardPasses++;
  }

  /** Layers below this one compute what they compute without calibration. ZeroTuning moves every head it is given. */
  private firstChanged({ item, heads, variant }: Job): number {
    const live = this.live.get(item);
    const method = variant?.method ?? this.strength.method;
    const changing = method === "zero-tuning" || !live ? heads : heads.filter((head) => live.has(head));
    return Math.floor(Math.min(...(changing.length > 0 ? changing : heads)) / this.heads);
  }

  /**
   * One uncalibrated pass that keeps the column means and, where `keep`, the layer inputs. Switching those on and off makes llama.cpp plan its
   * buffers anew, which costs more than a short prompt, so they are kept only where jobs are about to restart from them.
   */
  private async instrument(item: number, keep: boolean, signal: AbortSignal): Promise<{ outcome: Outcome; live: HeadIndex[] }> {
    const { tokens, truth = [] } = this.at(item);
    const { batch } = this;
    const { context } = batch;
    const segments = [tokens, ...(truth.length > 1 ? [truth.slice(0, -1)] : [])];
    const logits: Float32Array[] = [];
    const kept: Float32Array[][] = [];
    const means: ColumnMeans[] = [];
    await batch.untilDone(signal, async (stop) => {
      batch.begin([null]);
      logits.length = 0;
      kept.length = 0;
      means.length = 0;
      let done = true;
      const evaluate = async (segment: readonly number[], position: number) => {
        done &&= await batch.decode(segment, position, 1, stop, position > 0);
      };
      const captured = await context.capture(async () => {
        for (const [s, segment] of segments.entries()) {
          const position = s === 0 ? 0 : tokens.length;
          if (keep) {
            const inputs = await context.captureLayerInputs(
              () => evaluate(segment, position),
              segment.length,
              (layer) => (done ? Array.from({ length: this.layers }, (_, l) => layer(l)) : []),
            );
            kept.push(inputs);
          } else await evaluate(segment, position);
          if (!done) return;
          logits.push(...(await batch.logits(segment.length, 1, s > 0)).flat());
        }
      });
      means.push(captured);
      return done;
    });
    if (keep) this.keepInputs(item, kept);
    const live = this.liveHeads(means[0] as ColumnMeans);
    this.live.set(item, new Set(live));
    return { outcome: this.outcome(item, logits), live };
  }

  private liveHeads(means: ColumnMeans): HeadIndex[] {
    const limit = columnLimit(this.strength.threshold, means.keys);
    return this.eligible.filter((head) => {
      const at = head * means.keys;
      return sinksAt(means.columnMeans.subarray(at, at + means.keys), limit).positions.length > 0;
    });
  }

  private keepInputs(item: number, kept: Float32Array[][]): void {
    const bytes = kept.flat().reduce((sum, { byteLength }) => sum + byteLength, 0);
    const old = this.inputs.get(item);
    if (old) this.inputBytes -= old.bytes;
    this.inputs.delete(item);
    this.inputs.set(item, { prompt: kept[0] ?? [], truth: kept[1] ?? [], bytes });
    this.inputBytes += bytes;
    for (const [key, { bytes: own }] of this.inputs) {
      if (this.inputBytes <= INPUT_BYTES || key === item) break;
      this.inputs.delete(key);
      this.inputBytes -= own;
    }
  }

  /** Several jobs of one item side by side, from layer `start` on. */
  private async evaluate(item: number, jobs: readonly Job[], start: number, signal: AbortSignal): Promise<Outcome[]> {
    const { tokens, truth = [] } = this.at(item);
    const inputs = start > 0 ? this.inputs.get(item) : undefined;
    const calibrations = jobs.map((job) => this.calibration(job));
    const rest = truth.length > 1 ? truth.slice(0, -1) : [];
    let logits: Float32Array[][] = [];
    await this.batch.untilDone(signal, async (stop) => {
      this.batch.begin(calibrations);
      const restart = (layers: Float32Array[] | undefined) => (layers ? { layer: start, input: layers[start] as Float32Array } : undefined);
      if (!(await this.batch.decode(tokens, 0, jobs.length, stop, false, restart(inputs?.prompt)))) return false;
      logits = await this.batch.logits(tokens.length, jobs.length);
      if (rest.length === 0) return true;
      if (!(await this.batch.decode(rest, tokens.length, jobs.length, stop, true, restart(inputs?.truth)))) return false;
      const more = await this.batch.logits(rest.length, jobs.length, true);
      logits = logits.map((own, s) => [...own, ...(more[s] as Float32Array[])]);
      return true;
    });
    return logits.map((own) => this.outcome(item, own));
  }

  private calibration({ heads, variant }: Job): Calibration {
    const { betas, ...rule }: Variant = variant ?? this.strength;
    return { ...this.strength, ...rule, heads: heads.map((head) => toHead(head, this.heads)), ...(betas && { betas: [...betas] }) };
  }

  private outcome(item: number, logits: readonly Float32Array[]): Outcome {
    const { answers, label, truth, firstLine = 0 } = this.at(item);
    if (truth) return completionOutcome(logits, truth, firstLine);
    return answerOutcome(logits[0] as Float32Array, answers, label);
  }
}

/** Right where the answer's token has the highest logit among the answers' tokens; the first wins a tie, as argmax does. */
export function answerOutcome(logits: Float32Array, answers: readonly number[], label: number | undefined): Outcome {
  const scores = answers.map((token) => logits[token] as number);
  const most = Math.max(...scores);
  const logSum = most + Math.log(scores.reduce((sum, score) => sum + Math.exp(score - most), 0));
  const right = label === undefined ? most : (scores[label] as number);
  const others = scores.filter((_, a) => a !== label);
  return {
    correct: label !== undefined && scores.indexOf(most) === label,
    margin: label === undefined ? 0 : right - Math.max(...others),
    logProbability: right - logSum,
    answers: scores,
  };
}

/** Mean log-likelihood of the true tokens; correct where greedy decoding would write the first line exactly. */
export function completionOutcome(logits: readonly Float32Array[], truth: readonly number[], firstLine: number): Outcome {
  let sum = 0;
  let correct = true;
  truth.forEach((token, i) => {
    const row = logits[i] as Float32Array;
    let most = Number.NEGATIVE_INFINITY;
    let best = -1;
    for (let id = 0; id < row.length; id++) {
      const value = row[id] as number;
      if (value > most) {
        most = value;
        best = id;
      }
    }
    let total = 0;
    for (let id = 0; id < row.length; id++) total += Math.exp((row[id] as number) - most);
    sum += (row[token] as number) - most - Math.log(total);
    if (i < firstLine && best !== token) correct = false;
  });
  const mean = sum / truth.length;
  return { correct, margin: mean, logProbability: mean };
}
