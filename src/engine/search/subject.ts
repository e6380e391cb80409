import { derivedSeed, random } from "../../core/numbers/random.js";
import { PUBLISHED_SEARCH_SAMPLES } from "../../core/tasks/index.js";
import { drawShots } from "../../core/tasks/prompts.js";
import type { Item, Task } from "../../core/tasks/task.js";
import type { CalibrateParams } from "../../protocol/engine.js";
import { ActError } from "../../protocol/errors.js";
import { loadTask } from "../../store/data.js";
import type { Turn } from "../queue.js";
import type { Model } from "../run/model.js";
import type { ScorerItem } from "./scorer.js";
import { contentFreeItems, taskItems } from "./task-items.js";
import { workspaceSubject } from "./workspace-items.js";

/** What a search is about, ready to evaluate. */
export interface Subject {
  /** For people and evidence: the tasks, or the folder. */
  name: string;
  /** By `ScorerItem.task`; for completions none. */
  tasks: string[];
  versions: Record<string, number>;
  items: ScorerItem[];
  /** Behind the items in the pool. */
  contentFree: ScorerItem[];
  skipped: number;
  publishedSamples: number;
  scoring: string;
}

/** @throws ActError `usage`, `data` */
export async function subjectOf(model: Model, params: CalibrateParams, turn: Turn): Promise<Subject> {
  if ((params.tasks === undefined) === (params.workspace === undefined))
    throw new ActError("usage", "Say what to calibrate for: tasks, or a workspace folder.");
  if (params.workspace !== undefined) return await workspaceSubject(model, params, params.workspace, turn);
  const subject: Subject = {
    name: "",
    tasks: [],
    versions: {},
    items: [],
    contentFree: [],
    skipped: 0,
    publishedSamples: 0,
    scoring: "logits of the answers' tokens",
  };
  for (const name of params.tasks ?? []) {
    const reading = loadTask(name, { ...(params.data === undefined ? {} : { data: params.data }), signal: turn.signal });
    const { task, train } = await turn.during(reading);
    if (subject.tasks.includes(task.name)) throw new ActError("usage", `The task ${task.name} is named twice.`);
    checkLabels(task, train);
    const shots = params.shots ? drawShots(train, params.shots, random(derivedSeed(params.seed, "shots"))) : [];
    const rest = train.filter((item) => !shots.includes(item));
    const { items, skipped } = await taskItems(model, task, rest, turn, shots);
    const own = subject.tasks.push(task.name) - 1;
    subject.items.push(...items.map((item) => ({ ...item, task: own })));
    subject.skipped += skipped;
    subject.versions[task.name] = task.version;
    subject.publishedSamples += Math.min(train.length, task.searchSamples ?? PUBLISHED_SEARCH_SAMPLES);
    // Content-free inputs belong to one prompt; tasks together have no common one.
    if (params.tasks?.length === 1) subject.contentFree = contentFreeItems(model, task, shots);
  }
  subject.name = subject.tasks.join("+");
  return subject;
}

/** With one label there is nothing to tell apart. @throws ActError `data` */
function checkLabels(task: Task, items: readonly Item[]): void {
  const labels = new Set(items.map(({ label }) => label));
  if (labels.size === 0) throw new ActError("data", `${task.name} has no training rows to search on.`);
  if (task.kind !== "classification" || labels.size > 1) return;
  const [only = 0] = labels;
  throw new ActError(
    "data",
    `All ${items.length} training rows of ${task.name} have the label "${task.labelWords[only]?.trim()}"; a search needs rows of at least two labels.`,
  );
}
