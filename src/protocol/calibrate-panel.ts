/** Messages between host and calibrate panel. Both sides check what they get by these schemas. */
import * as v from "valibot";
import { EvidenceSchema, HeadSchema, MethodSchema, UseSchema } from "./calibration.js";

const count = v.pipe(v.number(), v.integer(), v.minValue(0));
const interval = v.tuple([v.number(), v.number()]);
const floats = v.custom<Float32Array>((value) => value instanceof Float32Array, "must be 32-bit floats");

export const PARTS = ["baseline", "choose", "validate", "confirm"] as const;
export const PartSchema = v.picklist(PARTS);
export type Part = v.InferOutput<typeof PartSchema>;

/** Order of the numbers in `scores.states`. */
export const HEAD_STATES = ["unseen", "racing", "dropped", "kept", "never-live"] as const;
export type HeadState = (typeof HEAD_STATES)[number];

/** Where a search measures: on the open folder's own files, or on named tasks. */
export const SearchPlaceSchema = v.variant("kind", [
  v.object({ kind: v.literal("workspace"), name: v.string() }),
  v.object({ kind: v.literal("tasks"), tasks: v.pipe(v.array(v.string()), v.minLength(1)) }),
]);
export type SearchPlace = v.InferOutput<typeof SearchPlaceSchema>;

/** A search as far as it is known: everything the panel draws, folded from progress events. */
export const CalibrateSnapshotSchema = v.object({
  place: SearchPlaceSchema,
  /** Milliseconds since 1970. */
  startedAt: v.number(),
  part: v.nullable(PartSchema),
  parts: v.array(v.object({ part: PartSchema, done: count, total: count, finished: v.boolean() })),
  promptsPerSecond: v.number(),
  secondsLeft: v.nullable(v.number()),
  forwardPasses: count,
  best: v.nullable(v.object({ name: v.string(), heads: count, difference: v.number(), interval, items: v.optional(count) })),
  /** Scores of all heads, [layer][head]; NaN where none is known yet. */
  scores: v.object({
    layers: count,
    heads: count,
    gain: floats,
    halfWidth: floats,
    items: v.custom<Uint32Array>((value) => value instanceof Uint32Array, "must be 32-bit counts"),
    states: v.custom<Uint8Array>((value) => value instanceof Uint8Array, "must be bytes"),
  }),
});
export type CalibrateSnapshot = v.InferOutput<typeof CalibrateSnapshotSchema>;

/** A use that a head set is in force for; `anyway`: although its evidence does not say that it helps there. */
const AppliedSchema = v.object({ use: UseSchema, anyway: v.boolean(), scope: v.picklist(["workspace", "user"]) });

/** One entry of the history of head sets. */
export const HeadSetEntrySchema = v.object({
  id: v.string(),
  name: v.string(),
  /** What it was measured for. */
  use: UseSchema,
  method: MethodSchema,
  beta: v.number(),
  /** One for each head; null: `beta` for all. */
  betas: v.nullable(v.array(v.number())),
  heads: v.array(HeadSchema),
  /** Milliseconds since 1970. */
  createdAt: v.number(),
  model: v.string(),
  evidence: v.nullable(EvidenceSchema),
  /** The verdict in a sentence, with interval and n and where it was measured. */
  verdict: v.string(),
  /** What its evidence says about its own use. */
  standing: v.picklist(["helps", "does-not-help", "harms", "no-evidence"]),
  /** The uses that it is in force for now. */
  applied: v.array(AppliedSchema),
  /** Why it cannot be switched on with the model that is loaded; null where it can. */
  refused: v.nullable(v.string()),
});
export type HeadSetEntry = v.InferOutput<typeof HeadSetEntrySchema>;

export const CalibratePanelStateSchema = v.object({
  phase: v.picklist(["idle", "starting", "running", "cancelling", "done", "failed"]),
  /** A sentence about the phase: what is done, the verdict, or what went wrong. */
  message: v.string(),
  /** Whether the verdict is that calibration helps; null while there is none. */
  helps: v.nullable(v.boolean()),
  model: v.nullable(v.object({ name: v.string(), layers: count, heads: count })),
  /** Why no search can start now (no model, untrusted workspace, another window searches); null where it can. */
  blocked: v.nullable(v.string()),
  /** Name of the open folder; null without one. */
  workspace: v.nullable(v.string()),
  tasks: v.array(v.string()),
  run: v.nullable(CalibrateSnapshotSchema),
  /** Of the whole search, from the time that is left; null where that is not known yet. */
  percent: v.nullable(v.pipe(v.number(), v.minValue(0), v.maxValue(100))),
  /** A search that was cancelled or cut off and can go on. */
  resumable: v.nullable(v.object({ place: SearchPlaceSchema, budgetMinutes: v.nullable(v.number()), startedAt: v.number() })),
  history: v.array(HeadSetEntrySchema),
  /** What is in force for each use: the set's name, or why there is none. */
  uses: v.array(v.object({ use: UseSchema, set: v.nullable(v.string()), anyway: v.boolean(), says: v.string() })),
});
export type CalibratePanelState = v.InferOutput<typeof CalibratePanelStateSchema>;

/** Host -> panel. */
export const CalibrateToViewSchema = v.variant("type", [
  v.object({ type: v.literal("state"), state: CalibratePanelStateSchema }),
  v.object({ type: v.literal("notice"), message: v.string() }),
]);
export type CalibrateToView = v.InferOutput<typeof CalibrateToViewSchema>;

/** Panel -> host. */
export const CalibrateToHostSchema = v.variant("type", [
  v.object({ type: v.literal("ready") }),
  v.object({
    type: v.literal("start"),
    place: v.variant("kind", [
      v.object({ kind: v.literal("workspace") }),
      v.object({ kind: v.literal("tasks"), tasks: v.pipe(v.array(v.string()), v.minLength(1)) }),
    ]),
    budgetMinutes: v.pipe(v.number(), v.minValue(0.1), v.maxValue(24 * 60)),
    method: MethodSchema,
  }),
  v.object({ type: v.literal("cancel") }),
  v.object({ type: v.literal("resume") }),
  /** Switches a head set of the history on or off for the use that it was measured for. */
  v.object({ type: v.literal("switch"), id: v.string(), on: v.boolean(), scope: v.picklist(["workspace", "user"]) }),
  /** Asks for another use to try a set on. */
  v.object({ type: v.literal("try"), id: v.string() }),
  v.object({ type: v.literal("export"), id: v.string() }),
  v.object({ type: v.literal("remove"), id: v.string() }),
  v.object({ type: v.literal("import") }),
  v.object({ type: v.literal("sinks") }),
]);
export type CalibrateToHost = v.InferOutput<typeof CalibrateToHostSchema>;
