import * as v from "valibot";

/** One query head as `[layer, head]`, both counted from 0. */
export const HeadSchema = v.tuple([v.pipe(v.number(), v.integer(), v.minValue(0)), v.pipe(v.number(), v.integer(), v.minValue(0))]);
export type Head = v.InferOutput<typeof HeadSchema>;

/** `fixed`: a key is a sink candidate when its column mean exceeds `value`; `relative`: when it exceeds `value / N`, N = keys visible to the last row. */
export const ThresholdSchema = v.object({
  mode: v.picklist(["fixed", "relative"]),
  value: v.pipe(v.number(), v.finite(), v.minValue(0)),
});
export type Threshold = v.InferOutput<typeof ThresholdSchema>;

/** `running`: column means over all rows since the last prefill began; `row`: over the rows of this ubatch alone (the published code when it generates). */
export const StatisticsSchema = v.picklist(["running", "row"]);
export type Statistics = v.InferOutput<typeof StatisticsSchema>;

/** `act`: later sinks keep `beta` of their attention. `zero-tuning`: the initial token keeps `beta` of its own (beta may exceed 1 there) and the rest is renormalised (Han et al. 2025). */
export const MethodSchema = v.picklist(["act", "zero-tuning"]);
export type Method = v.InferOutput<typeof MethodSchema>;

const BetaSchema = v.pipe(v.number(), v.finite(), v.minValue(0, "beta must be at least 0"));

/** What a request asks the engine to apply; `null` in a request means calibration off. */
export const CalibrationSchema = v.pipe(
  v.object({
    method: MethodSchema,
    heads: v.array(HeadSchema),
    beta: BetaSchema,
    threshold: ThresholdSchema,
    statistics: StatisticsSchema,
  }),
  v.check((c) => c.method !== "act" || c.beta <= 1, "beta must be between 0 and 1"),
);
export type Calibration = v.InferOutput<typeof CalibrationSchema>;

export const EvidenceSchema = v.looseObject({
  task: v.string(),
  /** What baseline, calibrated and difference count: shares of right answers (default), or mean log-likelihoods of a true token in nats. */
  metric: v.optional(v.picklist(["accuracy", "log-likelihood"])),
  seed: v.number(),
  chosenOn: v.number(),
  validatedOn: v.optional(v.number()),
  confirmedOn: v.number(),
  baseline: v.number(),
  calibrated: v.number(),
  difference: v.number(),
  interval: v.tuple([v.number(), v.number()]),
  p: v.number(),
  forwardPasses: v.optional(v.number()),
  tokenLayers: v.optional(v.number()),
  exhaustiveTokenLayers: v.optional(v.number()),
  seconds: v.optional(v.number()),
  /** Other arms of the same confirmation (random sets, all heads), each against no heads. */
  rivals: v.optional(
    v.array(
      v.looseObject({
        name: v.string(),
        heads: v.optional(v.number()),
        accuracy: v.number(),
        difference: v.number(),
        interval: v.tuple([v.number(), v.number()]),
      }),
    ),
  ),
});
export type Evidence = v.InferOutput<typeof EvidenceSchema>;

/** A head-set file, schema version 1 (shared by `act calibrate --out`, `--heads FILE`, and the panel's export and import). */
export const HeadSetSchema = v.looseObject({
  schema: v.literal(1),
  name: v.optional(v.string()),
  method: v.optional(MethodSchema, "act"),
  beta: v.optional(BetaSchema, 0.4),
  threshold: v.optional(ThresholdSchema, { mode: "fixed", value: 0.1 }),
  statistics: v.optional(StatisticsSchema, "running"),
  model: v.looseObject({
    name: v.optional(v.string()),
    sha256: v.optional(v.string()),
    architecture: v.optional(v.string()),
    layers: v.pipe(v.number(), v.integer(), v.minValue(1)),
    heads: v.pipe(v.number(), v.integer(), v.minValue(1)),
  }),
  heads: v.array(HeadSchema),
  /** True only where the confirmation's interval lies above zero. */
  on: v.optional(v.boolean()),
  evidence: v.optional(EvidenceSchema),
});
export type HeadSet = v.InferOutput<typeof HeadSetSchema>;

export const DEFAULT_BETA = 0.4;
export const DEFAULT_THRESHOLD: Threshold = { mode: "fixed", value: 0.1 };

/** The heads that may be calibrated unless asked otherwise: every layer but the first two and the last one (as published). */
export function eligibleHeads(layers: number, heads: number): Head[] {
  const eligible: Head[] = [];
  for (let layer = 2; layer < layers - 1; layer++) for (let head = 0; head < heads; head++) eligible.push([layer, head]);
  return eligible;
}
