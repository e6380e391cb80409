import * as v from "valibot";
import { named, share } from "./fields.js";
import { calibration } from "./generate.js";

export const LabelSchema = v.object({
  /** A task file, or a published task's name. */
  task: named("name a task"),
  data: v.optional(v.string()),
  /** Table of rows: .csv, .tsv or .jsonl. */
  in: named("name a file"),
  out: named("name a file"),
  /** Rows whose best label is less probable are left blank. */
  confidence: v.optional(share),
  calibration,
  resume: v.boolean(),
});
export type LabelParams = v.InferOutput<typeof LabelSchema>;
