import { CONTENT_FREE, contentFreePrompt, letter, prompt, sameText } from "../../core/tasks/prompts.js";
import type { Item, Task } from "../../core/tasks/task.js";
import { ActError } from "../../protocol/errors.js";
import type { Turn } from "../queue.js";
import type { Model } from "../run/model.js";
import type { ScorerItem } from "./scorer.js";

/** Items of a task as tokens, and those that do not fit one segment, which are left out and counted, never cut. */
export interface TaskItems {
  items: ScorerItem[];
  skipped: number;
}

/** Token whose logit stands for each label: the last one of the tokenised label word, as published. @throws ActError `data` */
export function labelTokens(model: Model, task: Task, choices?: number): number[] {
  const words =
    task.kind === "classification" ? task.labelWords : Array.from({ length: choices ?? task.maxChoices }, (_, i) => ` ${letter(task, i)}`);
  const tokens = words.map((word) => {
    const token = model.native.tokenize(word, false).at(-1);
    if (token === undefined)
      throw new ActError("data", `The label word "${word}" of ${task.name} becomes no token with this model's tokenizer.`);
    return token;
  });
  // Equal scores would make the first of the two labels win always.
  const again = tokens.findIndex((token, i) => tokens.indexOf(token) < i);
  if (again >= 0)
    throw new ActError(
      "data",
      `The label words "${words[tokens.indexOf(tokens[again] as number)]}" and "${words[again]}" of ${task.name} end in the same token with this model's tokenizer, so the model cannot tell them apart. Choose words with different endings.`,
    );
  return tokens;
}

/** @throws ActError `data` when no prompt fits */
export async function taskItems(
  model: Model,
  task: Task,
  items: readonly Item[],
  turn: Pick<Turn, "rest">,
  shots: readonly Item[] = [],
): Promise<TaskItems> {
  const result: TaskItems = { items: [], skipped: 0 };
  const most = Math.min(model.info.ubatch, model.info.contextSize);
  const labels = new Map<number | undefined, number[]>();
  for (const item of items) {
    await turn.rest();
    const tokens = model.encode(prompt(task, item, shots));
    const count = item.choices?.length;
    const answers = labels.get(count) ?? labelTokens(model, task, count);
    labels.set(count, answers);
    if (tokens.length > most) result.skipped++;
    else result.items.push({ tokens, answers, label: item.label, text: sameText(item) });
  }
  if (items.length > 0 && result.items.length === 0)
    throw new ActError("context-overflow", `No prompt of ${task.name} fits this model's context: one segment holds ${most} tokens.`);
  return result;
}

/** Content-free inputs of a classification task, for contextual calibration. */
export function contentFreeItems(model: Model, task: Task, shots: readonly Item[] = []): ScorerItem[] {
  if (task.kind !== "classification") return [];
  return CONTENT_FREE.map((text) => ({ tokens: model.encode(contentFreePrompt(task, text, shots)), answers: labelTokens(model, task) }));
}
