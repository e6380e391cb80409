import * as v from "valibot";
import { count, share } from "./fields.js";

export const BenchPhaseSchema = v.picklist(["prefill", "decode", "abort", "memory", "splits"]);
export const ClockSchema = v.picklist(["wall", "cpu"]);

export const BenchSchema = v.object({
  /** Default: all. `capture` is measured with `prefill`. */
  phases: v.optional(v.array(BenchPhaseSchema)),
  lengths: v.optional(v.array(count)),
  depths: v.optional(v.array(count)),
  shares: v.optional(v.array(share)),
  rounds: v.optional(count),
  /** What is measured: time that passed (default), or CPU time of this process, for a machine that does other things meanwhile. */
  clock: v.optional(ClockSchema),
});
export type BenchParams = v.InferOutput<typeof BenchSchema>;
