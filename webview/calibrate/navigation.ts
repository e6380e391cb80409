import * as v from "valibot";

/** Where the user is; survives a reload. */
export const CalibrateNavigationSchema = v.object({
  place: v.picklist(["workspace", "tasks"]),
  tasks: v.array(v.string()),
  budgetMinutes: v.number(),
  method: v.picklist(["act", "zero-tuning"]),
  /** The entry of the history whose evidence is shown; null = the newest. */
  entry: v.nullable(v.string()),
});
export type CalibrateNavigation = v.InferOutput<typeof CalibrateNavigationSchema>;

export const START: CalibrateNavigation = { place: "workspace", tasks: ["sst2"], budgetMinutes: 10, method: "act", entry: null };
