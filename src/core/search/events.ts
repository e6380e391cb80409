/** What a search tells while it runs. Records are facts that a journal keeps; progress is for eyes only. */
import type { CalibrateProgress } from "../../protocol/engine.js";
import type { Baseline, Cost, HeadIndex, Outcome, Variant } from "./scorer.js";

/** Facts. Everything else follows from them and the options, so a resumed search repeats itself up to where it stopped. */
export type SearchRecord =
  | { type: "baseline"; results: Baseline[]; cost: Cost; seconds: number }
  | { type: "scores"; results: ScoreRecord[]; cost: Cost; seconds: number }
  /** Decisions that depend on the clock are facts too: decided once, then read back. */
  | { type: "pace"; tokenLayersPerSecond: number }
  | { type: "deadline"; at: string; passed: boolean };

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
