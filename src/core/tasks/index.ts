import { ActError } from "../../protocol/errors.js";
import { agnews } from "./classification/agnews.js";
import { boolq } from "./classification/boolq.js";
import { cb } from "./classification/cb.js";
import { dbpedia } from "./classification/dbpedia.js";
import { mr } from "./classification/mr.js";
import { sst2 } from "./classification/sst2.js";
import { sst5 } from "./classification/sst5.js";
import { subj } from "./classification/subj.js";
import { trec } from "./classification/trec.js";
import { arcc } from "./multiple-choice/arcc.js";
import { arce } from "./multiple-choice/arce.js";
import { copa } from "./multiple-choice/copa.js";
import { cqa } from "./multiple-choice/cqa.js";
import { hellaswag } from "./multiple-choice/hellaswag.js";
import { ob } from "./multiple-choice/ob.js";
import { piqa } from "./multiple-choice/piqa.js";
import type { Task } from "./task.js";

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
