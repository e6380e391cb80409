/** Messages between host and sink panel. Both sides check what they get by these schemas; binary data travels as typed arrays. */
import * as v from "valibot";
import { HeadSchema, MethodSchema, ThresholdSchema } from "./calibration.js";
import { whole } from "./requests/fields.js";
import { HeadMatrixParamsSchema, HeadMatrixSchema, SinkMapSchema } from "./requests/look.js";

const index = whole(0);

/** Which prompt is looked at: that of the last ghost text, of the chat's last turn, the editor's selection, or a typed one. */
export const SinkSourceSchema = v.variant("kind", [
  v.object({ kind: v.literal("completion") }),
  v.object({ kind: v.literal("chat") }),
  v.object({ kind: v.literal("selection") }),
  v.object({ kind: v.literal("typed"), text: v.string() }),
]);
export type SinkSource = v.InferOutput<typeof SinkSourceSchema>;

/** The whole state that the host knows; pushed as one piece, so a panel that was hidden misses nothing. */
export const SinkPanelStateSchema = v.object({
  phase: v.picklist(["empty", "working", "ready", "failed"]),
  /** A sentence: what is being done, or why there is nothing to see. */
  message: v.string(),
  /** Whose prompt is shown, for example "Last completion in src/app.ts, line 12". */
  label: v.string(),
  source: v.nullable(SinkSourceSchema),
  /** Which sources have a prompt now. */
  available: v.object({ completion: v.boolean(), chat: v.boolean(), selection: v.boolean() }),
  /** The map that belongs to this state; the panel asks again when it holds another. */
  mapId: v.nullable(v.string()),
  model: v.nullable(v.string()),
  /** The head set that "after" shows; null where there is none. `applied`: it is on for this kind of prompt now. */
  calibration: v.nullable(
    v.object({
      name: v.string(),
      method: MethodSchema,
      beta: v.number(),
      betas: v.optional(v.array(v.number())),
      heads: v.array(HeadSchema),
      applied: v.boolean(),
    }),
  ),
  threshold: ThresholdSchema,
  /** Sinks are marked in the source file. */
  decorations: v.boolean(),
});
export type SinkPanelState = v.InferOutput<typeof SinkPanelStateSchema>;

/** Host -> panel. */
export const SinksToViewSchema = v.variant("type", [
  v.object({ type: v.literal("state"), state: SinkPanelStateSchema }),
  v.object({ type: v.literal("map"), map: SinkMapSchema }),
  v.object({ type: v.literal("matrix"), request: index, matrix: HeadMatrixSchema }),
  v.object({ type: v.literal("matrix-failed"), request: index, message: v.string() }),
  /** What became of an export, in a sentence. */
  v.object({ type: v.literal("notice"), message: v.string() }),
]);
export type SinksToView = v.InferOutput<typeof SinksToViewSchema>;

export const EXPORT_FORMATS = ["png", "svg", "csv", "json"] as const;

/** Panel -> host. */
export const SinksToHostSchema = v.variant("type", [
  /** First message, and after every reload: which map the panel still holds. */
  v.object({ type: v.literal("ready"), mapId: v.nullable(v.string()) }),
  v.object({ type: v.literal("open"), source: SinkSourceSchema }),
  v.object({
    type: v.literal("matrix"),
    request: index,
    params: HeadMatrixParamsSchema,
  }),
  /** Stops reading the prompt. */
  v.object({ type: v.literal("cancel") }),
  v.object({ type: v.literal("threshold"), threshold: ThresholdSchema }),
  /** Marks the sinks of one head (of the average over all heads where null) in the source file. */
  v.object({ type: v.literal("decorate"), on: v.boolean(), head: v.nullable(HeadSchema) }),
  v.object({
    type: v.literal("export"),
    format: v.picklist(EXPORT_FORMATS),
    name: v.string(),
    bytes: v.custom<Uint8Array>((value) => value instanceof Uint8Array, "must be bytes"),
  }),
  v.object({ type: v.literal("calibrate") }),
]);
export type SinksToHost = v.InferOutput<typeof SinksToHostSchema>;
