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

/** `act`: later sinks keep `beta` of their attention (under 1 weakens them, 1 is off, over 1 strengthens them). `zero-tuning`: the initial token keeps `beta` of its own (beta may exceed 1 there) and the rest is renormalised (Han et al. 2025). */
export const MethodSchema = v.picklist(["act", "zero-tuning"]);
export type Method = v.InferOutput<typeof MethodSchema>;

const BetaSchema = v.pipe(v.number(), v.finite(), v.minValue(0, "beta must be at least 0"));

/** Most that ACT strengthens a sink: a strength per head is 1 - beta in [-1, 1]. */
export const MOST_BETA = 2;

interface Strengths {
  method: Method;
  heads: readonly Head[];
  beta: number;
  betas?: readonly number[] | undefined;
}
const matchesHeads = ({ heads, betas }: Strengths) => betas === undefined || betas.length === heads.length;
const ONE_FOR_EACH_HEAD = "betas must hold one number for each head";
const inRange = ({ method, beta, betas = [] }: Strengths) => method !== "act" || [beta, ...betas].every((value) => value <= MOST_BETA);
const IN_RANGE = `beta must be between 0 and ${MOST_BETA}`;

/** What a request asks the engine to apply; `null` in a request means calibration off. */
export const CalibrationSchema = v.pipe(
  v.object({
    method: MethodSchema,
    heads: v.array(HeadSchema),
    beta: BetaSchema,
    /** One for each of `heads`; absent: `beta` for all. */
    betas: v.optional(v.array(BetaSchema)),
    threshold: ThresholdSchema,
    statistics: StatisticsSchema,
  }),
  v.check((set) => matchesHeads(set), ONE_FOR_EACH_HEAD),
  v.check((set) => inRange(set), IN_RANGE),
);
export type Calibration = v.InferOutput<typeof CalibrationSchema>;

const compared = {
  baseline: v.number(),
  calibrated: v.number(),
  difference: v.number(),
  interval: v.tuple([v.number(), v.number()]),
};

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
  /** What else was measured on the same confirmation (completions: first token right, whole line right), as shares. */
  measures: v.optional(v.array(v.looseObject({ name: v.string(), ...compared }))),
  /** Each of several tasks by itself, and sets that were chosen without a task on that task. */
  tasks: v.optional(v.array(v.looseObject({ task: v.string(), n: v.number(), ...compared }))),
  leaveOneOut: v.optional(v.array(v.looseObject({ task: v.string(), n: v.number(), ...compared }))),
  /** A measure that does not change when every answer gets the same shift towards a label. */
  biasFree: v.optional(v.looseObject({ measure: v.string(), baseline: v.number(), calibrated: v.number() })),
  /** Candidates that met on validation, and the gain that the confirmation would have shown in four of five repetitions. */
  comparisons: v.optional(v.number()),
  smallestGain: v.optional(v.number()),
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

/** What a head set is for: code that the editor completes, conversations, or prompts of a task. */
export const UseSchema = v.picklist(["completions", "chat", "task"]);
export type Use = v.InferOutput<typeof UseSchema>;

/**
 * A head-set file (shared by `act calibrate --out`, `--heads FILE`, and the panel's export and import). Schema 1 had one beta and no use; it is read
 * as schema 2 for task prompts.
 */
export const HeadSetSchema = v.pipe(
  v.looseObject({
    schema: v.picklist([1, 2]),
    use: v.optional(UseSchema, "task"),
    name: v.optional(v.string()),
    method: v.optional(MethodSchema, "act"),
    beta: v.optional(BetaSchema, 0.4),
    /** One for each of `heads`; absent: `beta` for all. */
    betas: v.optional(v.array(BetaSchema)),
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
    /** The evidence in a sentence. */
    verdict: v.optional(v.string()),
  }),
  v.transform((set) => ({ ...set, schema: 2 as const })),
  v.check((set) => matchesHeads(set), ONE_FOR_EACH_HEAD),
  v.check((set) => inRange(set), IN_RANGE),
);
export type HeadSet = v.InferOutput<typeof HeadSetSchema>;

/** What a request applies of a head set. */
export function calibrationOfSet({ method, heads, beta, betas, threshold, statistics }: HeadSet): Calibration {
  return { method, heads, beta, ...(betas && { betas }), threshold, statistics };
}

export const DEFAULT_BETA = 0.4;
export const DEFAULT_THRESHOLD: Threshold = { mode: "fixed", value: 0.1 };

/** The heads that may be calibrated unless asked otherwise: every layer but the first two and the last one (as published). */
export function eligibleHeads(layers: number, heads: number): Head[] {
  const eligible: Head[] = [];
  for (let layer = 2; layer < layers - 1; layer++) for (let head = 0; head < heads; head++) eligible.push([layer, head]);
  return eligible;
}
