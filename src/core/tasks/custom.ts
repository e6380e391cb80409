/** A user's own task: the fields of a published one, with its items, in one JSON or JSONL file. */
import * as v from "valibot";
import { ActError } from "../../protocol/errors.js";
import { dataLines, type Item, parseItem, type Task, TaskSchema, templateFields, withoutMark } from "./task.js";

export interface OwnTask {
  task: Task;
  /** Items to choose and validate heads on, and few-shot examples. */
  train: Item[];
  /** Items that results are reported on. */
  test: Item[];
}

function checkTask(value: unknown, where: string): Task {
  const parsed = v.safeParse(TaskSchema, value);
  if (!parsed.success) {
    const issue = parsed.issues[0];
    throw new ActError("data", `${where}: ${v.getDotPath(issue) ?? "task"}: ${issue.message}.`);
  }
  const task = parsed.output;
  if (task.kind === "multiple-choice" && !task.template.includes("{options}")) {
    throw new ActError("data", `${where}: the template of a multiple-choice task must contain {options}.`);
  }
  if (task.kind === "multiple-choice" && task.maxChoices > task.letters.length) {
    throw new ActError("data", `${where}: maxChoices is ${task.maxChoices}, but there are only ${task.letters.length} letters.`);
  }
  if (templateFields(task).length === 0) throw new ActError("data", `${where}: the template names no field, such as {text}.`);
  return task;
}

const FileSchema = v.object({ task: v.unknown(), train: v.array(v.unknown()), test: v.array(v.unknown()) });

/** JSON: `{"task": {…}, "train": [items], "test": [items]}`. JSONL: line 1 the task, then one item a line with "split": "train" or "test". */
export function parseOwnTask(text: string, file: string): OwnTask {
  const own = file.endsWith(".jsonl") ? fromLines(text, file) : fromDocument(text, file);
  const seen = new Set<string>();
  for (const item of [...own.train, ...own.test]) {
    if (seen.has(item.id)) throw new ActError("data", `${file}: the id "${item.id}" occurs twice.`);
    seen.add(item.id);
  }
  return own;
}

function fromDocument(text: string, file: string): OwnTask {
  let value: unknown;
  try {
    value = JSON.parse(withoutMark(text));
  } catch (error) {
    throw new ActError("data", `${file} is no JSON: ${(error as Error).message}`);
  }
  const parsed = v.safeParse(FileSchema, value);
  if (!parsed.success) throw new ActError("data", `${file}: expected {"task": …, "train": […], "test": […]}: ${parsed.issues[0].message}.`);
  const task = checkTask(parsed.output.task, `${file}, task`);
  const items = (part: "train" | "test") => parsed.output[part].map((row, i) => parseItem(task, row, `${file}, ${part}[${i}]`));
  return { task, train: items("train"), test: items("test") };
}

function fromLines(text: string, file: string): OwnTask {
  const [first = "", ...lines] = dataLines(text, file);
  let value: unknown;
  try {
    value = JSON.parse(first);
  } catch (error) {
    throw new ActError("data", `${file}, line 1 must be the task as a JSON object: ${(error as Error).message}`);
  }
  const task = checkTask(value, `${file}, line 1`);
  const own: OwnTask = { task, train: [], test: [] };
  lines.forEach((line, i) => {
    const where = `${file}, line ${i + 2}`;
    let row: unknown;
    try {
      row = JSON.parse(line);
    } catch (error) {
      throw new ActError("data", `${where} is no JSON: ${(error as Error).message}`);
    }
    const split = (row as { split?: unknown })?.split;
    if (split !== "train" && split !== "test") throw new ActError("data", `${where}: "split" must be "train" or "test".`);
    own[split].push(parseItem(task, row, where));
  });
  return own;
}
