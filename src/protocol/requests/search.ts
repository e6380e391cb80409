import * as v from "valibot";
import { MethodSchema, StatisticsSchema, ThresholdSchema } from "../calibration.js";
import { between, count, named, SeedSchema, tokenIds, whole } from "./fields.js";

export const SamplesSchema = whole(8);

export const SearchMethodSchema = v.picklist(["gradient", "race"]);

export const CalibrateSchema = v.object({
  tasks: v.optional(v.pipe(v.array(v.string()), v.minLength(1, "must name a task"))),
  /** Folder whose tracked source files make fill-in-the-middle items. */
  workspace: v.optional(v.string()),
  data: v.optional(v.string()),
  method: MethodSchema,
  /** How the set is found; default: by gradients where the model has them. */
  search: v.optional(SearchMethodSchema),
  /** Examples in front of every prompt of a task. */
  shots: v.optional(whole(0)),
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

/** What the estimated effect of each head on an objective is made from. */
export const EffectsSchema = v.object({
  /** A task's training prompts, or fill-in-the-middle prompts from a folder: one of the two. */
  task: v.optional(v.string()),
  workspace: v.optional(v.string()),
  data: v.optional(v.string()),
  /** Prompts, drawn by the seed. */
  limit: count,
  seed: SeedSchema,
  /** Every single head is measured too. */
  real: v.boolean(),
  method: MethodSchema,
  beta: between(0, 4),
  threshold: ThresholdSchema,
  statistics: StatisticsSchema,
});
export type EffectsParams = v.InferOutput<typeof EffectsSchema>;

const tokens = v.pipe(tokenIds, v.minLength(1, "must hold a token"));
/** Losses and their slopes in the strengths of heads, item by item. */
export const GradientSchema = v.object({
  items: v.pipe(
    v.array(
      v.union(
        [
          v.object({ tokens, answers: v.pipe(tokenIds, v.minLength(2, "must hold two answers")), label: whole(0) }),
          v.object({ tokens, truth: tokens }),
          v.object({ tokens, good: tokens, bad: tokens }),
        ],
        "must hold tokens with answers and a label, with a truth, or with a good and a bad answer",
      ),
    ),
    v.minLength(1, "must hold an item"),
  ),
  objective: v.picklist(["cross-entropy", "margin"]),
  method: MethodSchema,
  threshold: ThresholdSchema,
  statistics: StatisticsSchema,
  /** Strengths of the eligible heads, [layer][head]; null: all off (1). */
  betas: v.nullable(v.array(v.array(between(0, 4)))),
});
export type GradientParams = v.InferOutput<typeof GradientSchema>;
