/** Labels as people write them into a table: a label word, or its number as in the data sets. */
import { ActError } from "../../protocol/errors.js";
import type { Classification } from "../tasks/task.js";

/** Index of the label that a cell names. @throws ActError `data` naming `where` and what may stand there */
export function labelOf(task: Classification, cell: string | number, where: string): number {
  const words = task.labelWords.map((word) => word.trim());
  const said = String(cell).trim();
  const word = words.indexOf(said);
  const loose = words.findIndex((one) => one.toLowerCase() === said.toLowerCase());
  const index = word >= 0 ? word : loose >= 0 ? loose : /^\d+$/.test(said) ? Number(said) : -1;
  if (index < 0 || index >= words.length)
    throw new ActError(
      "data",
      `${where}: the label "${said.slice(0, 40)}" is none of ${words.join(", ")}, nor a number from 0 to ${words.length - 1}.`,
    );
  return index;
}

/** Whether labels are written as their numbers: where the marks are, and without marks as `without` says; never where a label word looks like one. */
export function writesNumbers(task: Classification, marks: readonly (string | number)[], without: boolean): boolean {
  if (task.labelWords.some((word) => /^\s*\d+\s*$/.test(word))) return false;
  return marks.length > 0 ? marks.every((mark) => /^\s*\d+\s*$/.test(String(mark))) : without;
}
