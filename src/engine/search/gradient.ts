import { answerLoss, GRADIENT_PASSES, type GradientScorer, type Objective, type Slopes, textLoss } from "../../core/search/gradient.js";
import type { Cost, HeadIndex, Outcome } from "../../core/search/scorer.js";
import { toIndex } from "../../core/search/scorer.js";
import type { Calibration, Head } from "../../protocol/calibration.js";
import { ActError } from "../../protocol/errors.js";
import type { DecodeBatch, NativeContext } from "../native/native.js";
import { cancelled, type Turn } from "../queue.js";
import type { Model, SegmentNeeds } from "../run/model.js";
import { SetBatch } from "../run/set-batch.js";
import { answerOutcome, completionOutcome, type ScorerItem } from "./scorer.js";

/** Two answers to one prompt: one that is wanted, one that is not. */
export interface PairItem {
  tokens: readonly number[];
  good: readonly number[];
  bad: readonly number[];
}
/** An item with a label, with a true continuation, or with a pair of answers. */
export type GradientItem = ScorerItem | PairItem;

/** How heads are calibrated, but for their strengths. */
export type Rule = Pick<Calibration, "method" | "threshold" | "statistics">;

/** Tokens of the longest segment of an item. */
function longest(item: GradientItem): number {
  const behind = "good" in item ? Math.max(item.good.length, item.bad.length) : (item.truth?.length ?? 1);
  return item.tokens.length + Math.max(0, behind - 1);
}

/** Prompt and text in one segment; logits of the tokens from the prompt's last one on. */
function segmentOf(prompt: readonly number[], text: readonly number[]): DecodeBatch {
  const tokens = [...prompt, ...text.slice(0, -1)];
  return {
    tokens: Int32Array.from(tokens),
    positions: Int32Array.from(tokens, (_, i) => i),
    sequences: new Int32Array(tokens.length),
    outputs: new Uint8Array(tokens.length).fill(1, prompt.length - 1),
  };
}

/** One backward pass of a segment. */
interface Pass {
  loss: number;
  logits: Float32Array[];
  gradient: Float32Array;
}

/**
 * Runs work with gradients on a context of its own. The first item tells whether the model has them (ActError `unsupported` otherwise).
 * @param eligible heads that have a strength
 * @param objective of items with a label
 */
export async function withGradients<T>(
  model: Model,
  pool: readonly GradientItem[],
  rule: Rule,
  eligible: readonly Head[],
  turn: Turn,
  work: (scorer: EngineGradients) => Promise<T>,
  objective: Objective = "cross-entropy",
): Promise<T> {
  // llama.cpp's attention with a backward pass here is FlashAttention's, on a cache of f16 or f32.
  const needs: SegmentNeeds = { segment: Math.max(1, ...pool.map(longest)), sequences: 1, flashAttention: "on", cacheType: "f16" };
  return await model.withSegments(needs, (context) =>
    context.withGradients(() => work(new EngineGradients(model.info, context, pool, rule, eligible, turn, objective))),
  );
}

export class EngineGradients implements GradientScorer {
  readonly layers: number;
  readonly heads: number;
  readonly eligible: readonly HeadIndex[];
  private readonly batch: SetBatch;

  constructor(
    model: { layers: number; heads: number },
    private readonly context: NativeContext,
    private readonly pool: readonly GradientItem[],
    private readonly rule: Rule,
    private readonly eligibleHeads: readonly Head[],
    turn: Turn,
    private readonly objective: Objective,
  ) {
    this.layers = model.layers;
    this.heads = model.heads;
    this.eligible = eligibleHeads.map((head) => toIndex(head, this.heads));
    this.batch = new SetBatch(context, turn);
  }

  get items(): number {
    return this.pool.length;
  }

  tokens(item: number): number {
    const own = this.at(item);
    return "good" in own ? 2 * own.tokens.length + own.good.length + own.bad.length - 2 : longest(own);
  }

  async *gradient(
    items: readonly number[],
    betas: readonly number[] | null,
    signal: AbortSignal,
  ): AsyncGenerator<{ results: Slopes[]; cost: Cost }> {
    if (betas && betas.length !== this.eligible.length)
      throw new ActError("internal", `${betas.length} strengths were given for ${this.eligible.length} heads.`);
    const calibration: Calibration = {
      ...this.rule,
      heads: [...this.eligibleHeads],
      beta: 1,
      betas: betas ? [...betas] : this.eligible.map(() => 1),
    };
    for (const item of items) {
      if (signal.aborted) throw cancelled();
      const results = [{ item, ...(await this.slopes(this.at(item), calibration, signal)) }];
      const passes = "good" in this.at(item) ? 2 : 1;
      yield {
        results,
        cost: { tokenLayers: this.tokens(item) * this.layers * GRADIENT_PASSES, forwardPasses: passes * GRADIENT_PASSES },
      };
    }
  }

  /** The forward pass alone, without calibration: what a gradient's time is compared with. */
  async forward(item: number, signal: AbortSignal): Promise<void> {
    const own = this.at(item);
    const segment = segmentOf(own.tokens, "good" in own ? own.good : (own.truth ?? []));
    await this.batch.untilDone(signal, async (stop) => {
      this.batch.begin([null]);
      return await this.context.decode(segment, stop);
    });
  }

  private at(item: number): GradientItem {
    const found = this.pool[item];
    if (!found) throw new ActError("internal", `There is no item ${item} among ${this.pool.length}.`);
    return found;
  }

  private async slopes(item: GradientItem, calibration: Calibration, signal: AbortSignal): Promise<Omit<Slopes, "item">> {
    if ("good" in item) {
      const pass = (text: readonly number[], weight: number) =>
        this.pass(item.tokens, text, calibration, signal, (rows) => textLoss(rows, text, weight));
      const good = await pass(item.good, 1);
      const bad = await pass(item.bad, -1);
      const loss = good.loss + bad.loss;
      const outcome: Outcome = { correct: loss < 0, margin: -loss, logProbability: -loss };
      return { loss, outcome, gradient: this.ofEligible(good.gradient, bad.gradient) };
    }
    const { tokens, answers, label, truth, firstLine = 0 } = item;
    if (truth) {
      const { loss, logits, gradient } = await this.pass(tokens, truth, calibration, signal, (rows) => textLoss(rows, truth));
      return { loss, outcome: completionOutcome(logits, truth, firstLine), gradient: this.ofEligible(gradient) };
    }
    if (label === undefined) throw new ActError("internal", "An item without a label has no loss.");
    const { loss, logits, gradient } = await this.pass(tokens, [], calibration, signal, ([row]) =>
      answerLoss(row as Float32Array, answers, label, this.objective),
    );
    return { loss, outcome: answerOutcome(logits[0] as Float32Array, answers, label), gradient: this.ofEligible(gradient) };
  }

  /** Prompt and text as one segment; the rows from the prompt's last token on have logits. */
  private async pass(
    prompt: readonly number[],
    text: readonly number[],
    calibration: Calibration,
    signal: AbortSignal,
    lossOf: (rows: Float32Array[]) => { loss: number; dLogits: Float32Array },
  ): Promise<Pass> {
    const segment = segmentOf(prompt, text);
    let done: Pass | null = null;
    await this.batch.untilDone(signal, async (stop) => {
      this.batch.begin([calibration]);
      if (!(await this.context.decode(segment, stop))) return false;
      const logits: Float32Array[] = [];
      for (let i = prompt.length - 1; i < segment.tokens.length; i++) logits.push(await this.context.logits(i));
      const { loss, dLogits } = lossOf(logits);
      const gradient = await this.context.backward(dLogits, stop);
      if (gradient) done = { loss, logits, gradient };
      return gradient !== null;
    });
    return done as unknown as Pass;
  }

  private ofEligible(...all: Float32Array[]): Float32Array {
    return Float32Array.from(this.eligible, (head) => all.reduce((sum, gradient) => sum + (gradient[head] as number), 0));
  }
}
