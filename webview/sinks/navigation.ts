import * as v from "valibot";
import { HeadSchema, ThresholdSchema } from "../../src/protocol/calibration.js";

const count = v.pipe(v.number(), v.integer(), v.minValue(0));

/** Where the user is; survives a reload. Never content: that comes from the host again. */
export const SinkNavigationSchema = v.object({
  /** The prompt that `view` and `lock` belong to. */
  mapId: v.nullable(v.string()),
  /** The head that is open; null = average over all heads. */
  head: v.nullable(HeadSchema),
  /** What the layers x heads grid shows: mass on sinks, or each head's column means as a strip. */
  measure: v.picklist(["mass", "profile"]),
  stage: v.picklist(["before", "after", "difference"]),
  log: v.boolean(),
  hideInitial: v.boolean(),
  /** Null = the threshold that the host uses. */
  threshold: v.nullable(ThresholdSchema),
  view: v.nullable(v.object({ row: count, column: count, side: v.pipe(v.number(), v.integer(), v.minValue(1)) })),
  /** The cell whose reading stays: query and key. */
  lock: v.nullable(v.object({ row: count, column: count })),
  /** First token of the text that is shown of a long prompt. */
  firstToken: count,
});
export type SinkNavigation = v.InferOutput<typeof SinkNavigationSchema>;
export type Stage = SinkNavigation["stage"];

export const START: SinkNavigation = {
  mapId: null,
  head: null,
  measure: "mass",
  stage: "before",
  log: false,
  hideInitial: false,
  threshold: null,
  view: null,
  lock: null,
  firstToken: 0,
};
