import * as v from "valibot";
import { MethodSchema, StatisticsSchema, ThresholdSchema } from "../calibration.js";
import { between, named, whole } from "./fields.js";

export const SamplesSchema = whole(8);

export const CalibrateSchema = v.object({
  tasks: v.optional(v.pipe(v.array(v.string()), v.minLength(1, "must name a task"))),
  /** Folder whose tracked source files make fill-in-the-middle items. */
  workspace: v.optional(v.string()),
  data: v.optional(v.string()),
  method: MethodSchema,
  beta: v.pipe(v.number(), v.finite(), v.minValue(0, "must be at least 0")),
  threshold: ThresholdSchema,
  statistics: StatisticsSchema,
  samples: v.optional(SamplesSchema),
  confirm: v.optional(SamplesSchema),
  exhaustive: v.optional(v.boolean()),
  seed: v.pipe(v.number(), v.integer("must be a whole number")),
  budgetMinutes: v.optional(between(0.01, 1_000_000)),
  journal: named("name a file"),
  resume: v.boolean(),
  shard: v.optional(v.object({ index: whole(0), count: whole(1) })),
  /** Journals of the shards of one search: they are merged into `journal` instead of searching. */
  merge: v.optional(v.pipe(v.array(v.string()), v.minLength(1, "must name the shards' journals"))),
  layers: v.optional(v.tuple([whole(0), whole(0)])),
});
export type CalibrateParams = v.InferOutput<typeof CalibrateSchema>;
