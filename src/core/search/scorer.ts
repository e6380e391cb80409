/** What a search needs of a model: the outcome of an item with some heads calibrated. The engine implements it; tests plant one. */
import type { Head } from "../../protocol/calibration.js";

/** A head as one number: layer * heads + head. */
export type HeadIndex = number;

export interface Outcome {
  /** The task's own metric: right answer, or exact match of a completion's first line. */
  correct: boolean;
  /** Score of the right answer minus the best other one; for completions the mean log-likelihood of a true token. */
  margin: number;
  /** Log-probability of the right answer among the answers; for completions the same as `margin`. */
  logProbability: number;
  /** Score of every answer (logits), where the item has answers to choose from. */
  answers?: number[];
}

export interface Baseline {
  item: number;
  outcome: Outcome;
  /** Heads with a second sink on this item: calibrating any other first changes nothing, exactly. */
  live: HeadIndex[];
}

/** Heads and how they are calibrated. */
export interface HeadSetting {
  /** Ascending and free of repeats. */
  heads: readonly HeadIndex[];
  /** Default: the search's own method and strength. */
  variant?: Variant | undefined;
}

export interface Job extends HeadSetting {
  item: number;
}

/** Another rule or other strengths behind the same op. */
export interface Variant {
  method: "act" | "zero-tuning";
  beta: number;
  /** One for each of the job's heads; absent: `beta` for all. */
  betas?: readonly number[];
}

export interface Cost {
  /** Tokens x layers evaluated. */
  tokenLayers: number;
  /** Sequences evaluated, whole or from a layer on. */
  forwardPasses: number;
}

export interface Scored {
  job: Job;
  outcome: Outcome;
}

export interface Scorer {
  readonly layers: number;
  readonly heads: number;
  /** Heads the search may choose from. */
  readonly eligible: readonly HeadIndex[];
  readonly items: number;
  /** `accuracy`: answers are right or wrong; `log-likelihood`: completions. */
  readonly metric: "accuracy" | "log-likelihood";
  /** Tokens of one evaluation of an item. */
  tokens(item: number): number;
  /** Which of the search's tasks the item belongs to; 0 where there is one. */
  task(item: number): number;
  /** Items of the same text share a cluster, whatever their task: a cluster is never divided between choosing and confirming. */
  cluster(item: number): number;
  /** Index of the right answer; undefined for completions. */
  label(item: number): number | undefined;
  /** One instrumented pass an item, in batches. Items whose prompt does not fit never get here: the engine leaves them out and counts them. */
  baseline(items: readonly number[], signal: AbortSignal): AsyncIterable<{ results: Baseline[]; cost: Cost }>;
  /** Outcomes in batches and any order. Every job changes its item: one of its heads is live there. */
  score(jobs: readonly Job[], signal: AbortSignal): AsyncIterable<{ results: Scored[]; cost: Cost }>;
}

export function toHead(index: HeadIndex, heads: number): Head {
  return [Math.floor(index / heads), index % heads];
}

export function toIndex([layer, head]: Head, heads: number): HeadIndex {
  return layer * heads + head;
}

export function sortedHeads(heads: Iterable<HeadIndex>): HeadIndex[] {
  return [...new Set(heads)].sort((a, b) => a - b);
}
