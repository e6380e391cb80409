import * as v from "valibot";
import { ActError } from "../../protocol/errors.js";

/** Text fields that a template may name: the item's own, and for multiple choice `options`. */
const TemplateSchema = v.pipe(v.string(), v.minLength(1, "template must not be empty"));

const CommonSchema = {
  name: v.pipe(v.string(), v.regex(/^[\w.-]{1,64}$/, "name must be 1 to 64 letters, digits, dots, dashes or underscores")),
  /** Raised whenever a prompt, a label word or the scoring changes, so that results of different versions are never compared. */
  version: v.pipe(v.number(), v.integer(), v.minValue(1)),
  instruction: v.string(),
  template: TemplateSchema,
  /** Calibration prompts of the published search; default: 900 or all there are. */
  searchSamples: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1))),
};

export const ClassificationSchema = v.object({
  ...CommonSchema,
  kind: v.literal("classification"),
  /** By label index, leading blank included. */
  labelWords: v.pipe(
    v.array(
      v.pipe(
        v.string(),
        v.check((word) => word.trim() !== "", "label words must not be empty"),
      ),
    ),
    v.minLength(2, "labelWords needs at least two"),
  ),
});

export const MultipleChoiceSchema = v.object({
  ...CommonSchema,
  kind: v.literal("multiple-choice"),
  /** `{letter}` and `{choice}` are filled in for every choice, in order; the result is the template's `{options}`. */
  optionFormat: v.pipe(v.string(), v.includes("{choice}", "optionFormat must contain {choice}")),
  letters: v.pipe(v.string(), v.minLength(2)),
  maxChoices: v.pipe(v.number(), v.integer(), v.minValue(2)),
});

export const TaskSchema = v.variant("kind", [ClassificationSchema, MultipleChoiceSchema]);
export type Classification = v.InferOutput<typeof ClassificationSchema>;
export type MultipleChoice = v.InferOutput<typeof MultipleChoiceSchema>;
export type Task = v.InferOutput<typeof TaskSchema>;

/** One labelled item; `fields` are the texts that the template names. */
export interface Item {
  id: string;
  fields: Record<string, string>;
  choices?: string[];
  /** Index into the label words or the choices. */
  label: number;
}

const RowSchema = v.objectWithRest(
  {
    id: v.optional(v.string()),
    label: v.pipe(v.number("label must be a number"), v.integer("label must be a whole number"), v.minValue(0, "label must be at least 0")),
    choices: v.optional(v.array(v.string("choices must be texts"))),
  },
  v.unknown(),
);

/** Names in braces that the template asks for, without `options`. */
export function templateFields(task: Task): string[] {
  return [...task.template.matchAll(/\{(\w+)\}/g)].map((match) => match[1] as string).filter((name) => name !== "options");
}

/** Labels an item may have: those of the task, or its own choices. */
export function answers(task: Task, item: Item): number {
  return task.kind === "classification" ? task.labelWords.length : (item.choices?.length ?? 0);
}

/** Checks one parsed data line against its task; `where` names file and line in the error. */
export function parseItem(task: Task, row: unknown, where: string): Item {
  const parsed = v.safeParse(RowSchema, row);
  if (!parsed.success) throw new ActError("data", `${where}: ${v.flatten(parsed.issues).root?.[0] ?? parsed.issues[0].message}.`);
  const { id, label, choices, ...rest } = parsed.output;
  const fields: Record<string, string> = {};
  for (const name of templateFields(task)) {
    const value = rest[name];
    if (typeof value !== "string" || value.length === 0) throw new ActError("data", `${where}: the field "${name}" is missing or empty.`);
    fields[name] = value;
  }
  if (task.kind === "multiple-choice") {
    if (!choices || choices.length < 2) throw new ActError("data", `${where}: "choices" is missing or has fewer than two entries.`);
    if (choices.length > task.maxChoices)
      throw new ActError("data", `${where}: ${choices.length} choices, but ${task.name} takes at most ${task.maxChoices}.`);
  }
  const item: Item = { id: id ?? where, fields, label, ...(task.kind === "multiple-choice" ? { choices } : {}) };
  if (label >= answers(task, item)) throw new ActError("data", `${where}: label ${label} is out of range 0..${answers(task, item) - 1}.`);
  return item;
}

/** Longest line of a data file in characters: no prompt of that length fits a context, and reading it would take the memory of many. */
const LONGEST_LINE = 1_000_000;

/** Lines of a data file, split at \n only (texts may contain other line separators), without a byte order mark. @throws ActError `data` for a line that no item needs */
export function dataLines(text: string, file: string): string[] {
  const lines = withoutMark(text).split("\n");
  if (lines.at(-1) === "") lines.pop();
  const long = lines.findIndex(({ length }) => length > LONGEST_LINE);
  if (long >= 0)
    throw new ActError(
      "data",
      `${file}, line ${long + 1} has ${lines[long]?.length} characters; an item may have at most ${LONGEST_LINE}. Is it one item a line?`,
    );
  return lines;
}

/** Without the byte order mark that Windows editors put first. */
export function withoutMark(text: string): string {
  return text.startsWith("\uFEFF") ? text.slice(1) : text;
}

/** One item a line. Errors name file and line; a file without items is one. */
export function parseItems(task: Task, text: string, file: string): Item[] {
  const lines = dataLines(text, file);
  if (lines.length === 0) throw new ActError("data", `${file} is empty; expected one JSON object a line.`);
  return lines.map((line, i) => {
    const where = `${file}, line ${i + 1}`;
    if (line.trim() === "") throw new ActError("data", `${where} is empty; expected a JSON object.`);
    let row: unknown;
    try {
      row = JSON.parse(line);
    } catch (error) {
      throw new ActError("data", `${where} is no JSON: ${(error as Error).message}`);
    }
    return parseItem(task, row, where);
  });
}
