import * as v from "valibot";
import { count, named, whole } from "./fields.js";
import { calibration } from "./generate.js";

export const ShotsSchema = whole(0, 64);

export const EvaluateSchema = v.object({
  tasks: v.pipe(v.array(v.string()), v.minLength(1, "must name a task")),
  data: v.optional(v.string()),
  shots: ShotsSchema,
  seeds: count,
  limit: v.optional(count),
  split: v.optional(v.picklist(["test", "train"], "must be test or train")),
  calibration,
  contextual: v.optional(v.boolean()),
  /** Simple rules beside the set, fitted on training rows. */
  rivals: v.optional(v.boolean()),
  out: v.optional(v.string()),
  resume: v.boolean(),
});
export type EvaluateParams = v.InferOutput<typeof EvaluateSchema>;

export const MtBenchSchema = v.object({
  data: v.optional(v.string()),
  out: named("name a folder"),
  calibration,
  limit: v.optional(count),
  maxTokens: v.optional(count),
});
export type MtBenchParams = v.InferOutput<typeof MtBenchSchema>;
