import { labelOf } from "../../core/label/marks.js";
import { fieldNames } from "../../core/label/own-task.js";
import { random, shuffled } from "../../core/numbers/random.js";
import { prompt } from "../../core/tasks/prompts.js";
import type { Classification, Item } from "../../core/tasks/task.js";
import { templateFields } from "../../core/tasks/task.js";
import type { LabelParams } from "../../protocol/engine.js";
import { ActError } from "../../protocol/errors.js";
import { loadTask } from "../../store/data.js";
import { readTable, type Table, type TableRow } from "../../store/label-table.js";
import type { Turn } from "../queue.js";
import type { Model } from "../run/model.js";

/** Fewer labelled rows say nothing about what to expect. */
const LEAST_EXAMPLES = 12;
/** More cost time and help little. */
const MOST_EXAMPLES = 500;
const SEED = 42;

/** A labelled prompt to learn from. */
export interface Example {
  tokens: number[];
  label: number;
}

/** A row of the table: its prompt, or null where it cannot be judged (no text, or too long). */
export interface Judged {
  row: number;
  tokens: number[] | null;
}

export interface LabelPlan {
  task: Classification;
  table: Table;
  examples: Example[];
  /** Rows without a mark, in the order of the table. */
  open: Judged[];
  /** Marks of the table, by row. */
  marks: (string | number | null)[];
}

/** Reads task and table. @throws ActError `data` (file, line and what is wrong), `usage` */
export async function labelPlan(model: Model, params: LabelParams, turn: Turn): Promise<LabelPlan> {
  const reading = loadTask(params.task, { ...(params.data === undefined ? {} : { data: params.data }), signal: turn.signal });
  const { task, train, test } = await turn.during(reading);
  if (task.kind !== "classification")
    throw new ActError(
      "usage",
      `${task.name} is a multiple-choice task; rows are labelled with a classification task, which has the same labels for every row.`,
    );
  const table = await turn.during(readTable(params.in));
  const names = fieldNames(table.columns);
  // A column is reached by its name, or by that as a template can hold it.
  const columnOf = new Map([
    ...names.map((name, i) => [name, table.columns[i] as string] as const),
    ...table.columns.map((name) => [name, name] as const),
  ]);
  const missing = templateFields(task).filter((name) => !columnOf.has(name));
  if (missing.length > 0)
    throw new ActError(
      "data",
      `${params.in} has no column "${missing[0]}", which the template of ${task.name} names; it has ${table.columns.join(", ") || "none"}.`,
    );
  const most = Math.min(model.info.ubatch, model.info.contextSize);
  const tokensOf = async (item: Item): Promise<number[] | null> => {
    await turn.rest();
    // Characters first: a line of a hundred megabytes need not be made into tokens to be too long.
    if (Object.values(item.fields).reduce((sum, text) => sum + text.length, 0) > most * MOST_CHARACTERS_PER_TOKEN) return null;
    const tokens = model.encode(prompt(task, item));
    return tokens.length <= most ? tokens : null;
  };
  const open: Judged[] = [];
  const examples: Example[] = [];
  const learn = async (item: Item) => {
    const tokens = await tokensOf(item);
    if (tokens) examples.push({ tokens, label: item.label });
  };
  for (const item of [...train, ...test]) await learn(item);
  for (const [row, one] of table.rows.entries()) {
    const item = itemOf(task, one, columnOf);
    if (one.mark === null) open.push({ row, tokens: item && (await tokensOf(item)) });
    else if (item) await learn({ ...item, label: labelOf(task, one.mark, one.where) });
  }
  checkExamples(task, examples, params);
  const chosen = shuffled(examples, random(SEED)).slice(0, MOST_EXAMPLES);
  return { task, table, examples: chosen, open, marks: table.rows.map(({ mark }) => mark) };
}

const MOST_CHARACTERS_PER_TOKEN = 256;

function itemOf(task: Classification, { fields, where }: TableRow, columnOf: ReadonlyMap<string, string>): Item | null {
  const texts = templateFields(task).map((name) => [name, fields[columnOf.get(name) ?? ""] ?? ""] as const);
  if (texts.some(([, text]) => text.trim() === "")) return null;
  return { id: where, fields: Object.fromEntries(texts), label: 0 };
}

function checkExamples(task: Classification, examples: readonly Example[], { in: file }: LabelParams): void {
  const counts = new Map<number, number>();
  for (const { label } of examples) counts.set(label, (counts.get(label) ?? 0) + 1);
  if (examples.length < LEAST_EXAMPLES || counts.size < 2)
    throw new ActError(
      "data",
      `There are ${examples.length} labelled rows with ${counts.size} different labels; at least ${LEAST_EXAMPLES} with 2 are needed. Add them to ${task.name}'s train items, or fill in the label column of ${file}.`,
    );
}
