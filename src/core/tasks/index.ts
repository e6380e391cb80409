import { ActError } from "../../protocol/errors.js";
import { agnews } from "./agnews.js";
import { arcc } from "./arcc.js";
import { arce } from "./arce.js";
import { boolq } from "./boolq.js";
import { cb } from "./cb.js";
import { copa } from "./copa.js";
import { cqa } from "./cqa.js";
import { dbpedia } from "./dbpedia.js";
import { hellaswag } from "./hellaswag.js";
import { mr } from "./mr.js";
import { ob } from "./ob.js";
import { piqa } from "./piqa.js";
import { sst2 } from "./sst2.js";
import { sst5 } from "./sst5.js";
import { subj } from "./subj.js";
import type { Task } from "./task.js";
import { trec } from "./trec.js";

/** The sixteen published data sets, classification first. */
export const TASKS: readonly Task[] = [sst2, sst5, mr, subj, dbpedia, agnews, trec, cb, boolq, hellaswag, arce, arcc, piqa, ob, copa, cqa];

/** Prompts of the published search per task, where a task does not say otherwise. */
export const PUBLISHED_SEARCH_SAMPLES = 900;

export function findTask(name: string): Task {
  const found = TASKS.find((task) => task.name.toLowerCase() === name.toLowerCase());
  if (!found)
    throw new ActError(
      "usage",
      `There is no task "${name}". Known tasks: ${TASKS.map((task) => task.name).join(", ")}; or give a task file (.json, .jsonl).`,
    );
  return found;
}
