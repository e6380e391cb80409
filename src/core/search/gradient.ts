/** Slopes of a loss in the strengths of heads, by one backward pass for each prompt; and the losses themselves. */
import type { Cost, HeadIndex, Outcome } from "./scorer.js";

/**
 * What a gradient costs (forward and backward pass), in forward passes of the same prompt: measured 2.05 to 2.55 (test/bench/README.md). Cost counts
 * with it.
 */
export const GRADIENT_PASSES = 2.5;

/** One item at given strengths. */
export interface Slopes {
  item: number;
  /** In nats; what is minimised (see `Objective`). */
  loss: number;
  /** What the forward pass at these strengths gave: the same kind of outcome that `Scorer.score` answers. */
  outcome: Outcome;
  /**
   * dLoss/dg of each of `eligible`, in its order; g = 1 - beta. 0 for a head that has no second sink on this item.
   *
   * At beta 1 (off) the estimated change of the loss by calibrating head h alone with beta is (1 - beta) * gradient[h]: first order, and nearly exact
   * for one head. Sets of many heads interact: they are tuned by several steps, or evaluated, never summed up.
   */
  gradient: Float32Array;
}

/**
 * Gradients on the loaded model. The engine implements it (`EngineGradients`); tests plant one.
 *
 * Each prompt is one segment; a completion's true text belongs to the segment, so its column means differ a little from those of `Scorer`,
 * which evaluates the text behind the prompt. The sinks are constants of the derivative: where a strength moves a key over the threshold in a
 * deeper layer, the loss has a step that the gradient does not see.
 */
export interface GradientScorer {
  readonly layers: number;
  readonly heads: number;
  /** Heads that have a strength. */
  readonly eligible: readonly HeadIndex[];
  readonly items: number;
  /** Tokens of one evaluation of an item. */
  tokens(item: number): number;
  /**
   * Loss, outcome and gradient of each item, one item after the other, in the order given.
   * @param betas of each of `eligible`, in [0, 2] (ACT) or at least 0 (ZeroTuning); null: all off (1), for estimates of single heads
   * @throws ActError `unsupported` at the first item where the model's graph has no backward pass, saying why: fall back to the race and say so;
   * `cancelled`
   */
  gradient(
    items: readonly number[],
    betas: readonly number[] | null,
    signal: AbortSignal,
  ): AsyncIterable<{ results: Slopes[]; cost: Cost }>;
}

/**
 * `cross-entropy`: minus the log-probability of the right answer among the answers. `margin`: the best other answer's score minus the right
 * one's. Completions: minus the mean log-likelihood of a true token. A pair: minus (mean log-likelihood of the good answer's tokens minus that of the
 * bad one's).
 */
export type Objective = "cross-entropy" | "margin";

/** A loss and its derivative in the logits, row by row. */
export interface LossOfLogits {
  loss: number;
  /** [row][vocabulary] */
  dLogits: Float32Array;
}

/** @param logits after the prompt's last token; @param answers token of each answer; @param label index of the right one */
export function answerLoss(logits: Float32Array, answers: readonly number[], label: number, objective: Objective): LossOfLogits {
  const scores = answers.map((token) => logits[token] as number);
  const dLogits = new Float32Array(logits.length);
  const add = (answer: number, slope: number) => {
    const token = answers[answer] as number;
    dLogits[token] = (dLogits[token] as number) + slope;
  };
  if (objective === "margin") {
    const best = scores.reduce((at, score, i) => (i !== label && (at < 0 || score > (scores[at] as number)) ? i : at), -1);
    add(best, 1);
    add(label, -1);
    return { loss: (scores[best] as number) - (scores[label] as number), dLogits };
  }
  const most = Math.max(...scores);
  const powers = scores.map((score) => Math.exp(score - most));
  const total = powers.reduce((sum, power) => sum + power, 0);
  powers.forEach((power, i) => {
    add(i, power / total);
  });
  add(label, -1);
  return { loss: most + Math.log(total) - (scores[label] as number), dLogits };
}

/** Minus the mean log-likelihood of `text`, whose token i is predicted by row i; times `weight`. */
export function textLoss(rows: readonly Float32Array[], text: readonly number[], weight = 1): LossOfLogits {
  const vocabulary = rows[0]?.length ?? 0;
  const dLogits = new Float32Array(text.length * vocabulary);
  const scale = weight / text.length;
  let loss = 0;
  text.forEach((token, i) => {
    const row = rows[i] as Float32Array;
    let most = Number.NEGATIVE_INFINITY;
    for (let id = 0; id < vocabulary; id++) most = Math.max(most, row[id] as number);
    const own = dLogits.subarray(i * vocabulary, (i + 1) * vocabulary);
    let total = 0;
    for (let id = 0; id < vocabulary; id++) {
      const power = Math.exp((row[id] as number) - most);
      own[id] = power;
      total += power;
    }
    loss += most + Math.log(total) - (row[token] as number);
    const share = scale / total;
    for (let id = 0; id < vocabulary; id++) own[id] = (own[id] as number) * share;
    own[token] = (own[token] as number) - scale;
  });
  return { loss: loss * scale, dLogits };
}
