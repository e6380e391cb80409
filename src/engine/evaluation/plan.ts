import type { EvaluationRecord } from "../../core/evaluation/records.js";
import { choose, derivedSeed, random } from "../../core/numbers/random.js";
import { prompt, shotsOfRepeat } from "../../core/tasks/prompts.js";
import type { Item, Task } from "../../core/tasks/task.js";
import type { EvaluateParams } from "../../protocol/engine.js";
import { ActError } from "../../protocol/errors.js";
import { loadTask } from "../../store/data.js";
import type { Turn } from "../queue.js";
import type { Model } from "../run/model.js";
import { contentFreeItems, labelTokens } from "../search/task-items.js";

/** One prompt to evaluate. */
export interface Work {
  task: Task;
  repeat: number;
  item: Item;
  tokens: number[];
}

export interface Plan {
  works: Work[];
  /** Training prompts that rivals are fitted on, in random order. */
  training: Work[];
  skipped: EvaluationRecord[];
  contentFree: { task: Task; repeat: number; tokens: number[][] }[];
  tasks: Task[];
}

/** Training prompts of each task and repeat that rivals are fitted on. */
const RIVAL_ROWS = 256;
/** Fewer say nothing about weights and biases. */
const LEAST_RIVAL_ROWS = 8;
const SEED = 42;

/** Reads the labelled tasks and makes their prompts. @throws ActError `data`, `usage`, `context-overflow` (no prompt fits) */
export async function planOf(model: Model, params: EvaluateParams, turn: Turn): Promise<Plan> {
  const plan: Plan = { works: [], training: [], skipped: [], contentFree: [], tasks: [] };
  const most = Math.min(model.info.ubatch, model.info.contextSize);
  for (const name of params.tasks) {
    const reading = loadTask(name, { ...(params.data === undefined ? {} : { data: params.data }), signal: turn.signal });
    const { task, train, test } = await turn.during(reading);
    if (plan.tasks.some((one) => one.name === task.name)) throw new ActError("usage", `The task ${task.name} is named twice.`);
    plan.tasks.push(task);
    labelTokens(model, task);
    const items = (params.split === "train" ? train : test).slice(0, params.limit);
    if (items.length === 0) throw new ActError("data", `The task ${task.name} has no items in its ${params.split ?? "test"} split.`);
    // Without shots every repeat would be the same.
    const repeats = params.shots === 0 ? 1 : params.seeds;
    for (let repeat = 0; repeat < repeats; repeat++) {
      const shots = params.shots === 0 ? [] : shotsOfRepeat(train, params.shots, repeat);
      const work = async (item: Item): Promise<Work> => {
        await turn.rest();
        return { task, repeat, item, tokens: model.encode(prompt(task, item, shots)) };
      };
      for (const item of items) {
        const one = await work(item);
        if (one.tokens.length <= most) plan.works.push(one);
        else plan.skipped.push({ type: "skipped", task: task.name, repeat, id: item.id, tokens: one.tokens.length });
      }
      if (params.rivals) {
        const taken = new Set([...items, ...shots].map(({ id }) => id));
        const free = train.filter(({ id }) => !taken.has(id));
        const drawn = choose(
          free,
          Math.min(RIVAL_ROWS, free.length),
          random(derivedSeed(SEED, `rivals of ${task.name}, repeat ${repeat}`)),
        );
        const fitting: Work[] = [];
        for (const item of drawn) {
          const one = await work(item);
          if (one.tokens.length <= most) fitting.push(one);
        }
        checkTraining(task, fitting);
        plan.training.push(...fitting);
      }
      const free = params.contextual ? contentFreeItems(model, task, shots).map(({ tokens }) => [...tokens]) : [];
      if (free.length > 0 && free.every((tokens) => tokens.length <= most)) plan.contentFree.push({ task, repeat, tokens: free });
    }
  }
  if (plan.tasks.length > 0 && plan.works.length === 0)
    throw new ActError("context-overflow", `No prompt fits this model's context: one segment holds ${most} tokens.`);
  return plan;
}

function checkTraining(task: Task, fitting: readonly Work[]): void {
  const labels = new Set(fitting.map(({ item }) => item.label)).size;
  if (fitting.length < LEAST_RIVAL_ROWS || labels < 2)
    throw new ActError(
      "data",
      `Rivals are fitted on training rows that are neither judged nor shown as examples; ${task.name} has ${fitting.length} of them with ${labels} different labels, and at least ${LEAST_RIVAL_ROWS} with 2 are needed.`,
    );
}
