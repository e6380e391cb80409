/** A task made from a table alone: one column of text, and labels that are written into some of its rows. */
import { ActError } from "../../protocol/errors.js";
import type { Classification } from "../tasks/task.js";

/** More labels than this are no labels but texts. */
const MOST_LABELS = 40;

/** Names under which a template reaches the columns: letters, digits and underscores, each once. */
export function fieldNames(columns: readonly string[]): string[] {
  const taken = new Set<string>();
  return columns.map((column, i) => {
    const plain = column.replace(/\W+/g, "_").replace(/^_+|_+$/g, "");
    const name = plain === "" || taken.has(plain) ? `column_${i + 1}` : plain;
    taken.add(name);
    return name;
  });
}

/**
 * @param marks what stands in the label cells that are filled in
 * @throws ActError `data` where the marks are no two to forty labels
 */
export function taskOfTable(name: string, column: string, columns: readonly string[], marks: readonly (string | number)[]): Classification {
  const labels = [...new Set(marks.map((mark) => String(mark).trim()))].sort();
  if (labels.length < 2 || labels.length > MOST_LABELS)
    throw new ActError("data", `The label column of ${name} holds ${labels.length} different labels; 2 to ${MOST_LABELS} are needed.`);
  const field = fieldNames(columns)[columns.indexOf(column)] as string;
  return {
    name: name.replace(/[^\w.-]+/g, "-").slice(0, 64) || "table",
    version: 1,
    kind: "classification",
    instruction: `Classify the text into one of the following categories: ${labels.map((label) => `'${label}'`).join(", ")}.\n\n`,
    template: `Text: {${field}}\nCategory: `,
    labelWords: labels.map((label) => ` ${label}`),
  };
}
