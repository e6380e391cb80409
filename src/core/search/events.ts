/** What a search tells while it runs. Records are facts that a journal keeps; progress is for eyes only. */
import type { CalibrateProgress } from "../../protocol/engine.js";
import type { Baseline, Cost, HeadIndex, Outcome, Variant } from "./scorer.js";

/** What a fact was asked for: evidence counts the cost of finding a set apart from that of confirming it. */
export type Stage = "find" | "confirm";

/** Facts. Everything else follows from them and the options, so a resumed search repeats itself up to where it stopped. */
export type SearchRecord =
  | ({ type: "baseline"; results: Baseline[] } & Effort)
  | ({ type: "scores"; results: ScoreRecord[] } & Effort)
  /** Gradients at the strengths that `at` is the key of. */
  | ({ type: "slopes"; at: string; results: SlopeRecord[] } & Effort)
  /** Decisions that depend on the clock are facts too: decided once, then read back. */
  | { type: "pace"; tokenLayersPerSecond: number }
  | { type: "deadline"; at: string; passed: boolean };

interface Effort {
  stage: Stage;
  cost: Cost;
  seconds: number;
}

export interface SlopeRecord {
  item: number;
  outcome: Outcome;
  /** dLoss/dg of every eligible head, in their order. */
  gradient: readonly number[];
}

export interface ScoreRecord {
  item: number;
  heads: readonly HeadIndex[];
  variant?: Variant;
  outcome: Outcome;
}

export type SearchEvent =
  | { type: "record"; record: SearchRecord }
  | { type: "progress"; progress: CalibrateProgress }
  /** In the middle of a long computation: whoever waits for the model or the thread may go first. */
  | { type: "pause" };
