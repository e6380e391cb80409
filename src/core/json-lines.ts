import * as v from "valibot";
import { ActError } from "../protocol/errors.js";

/** JSON Lines, split at \n only (texts may hold other line separators), each checked. @throws ActError `data` naming file and line */
export function jsonLines<S extends v.GenericSchema>(text: string, file: string, schema: S): { value: v.InferOutput<S>; where: string }[] {
  const rows = text.replace(/^\ufeff/, "").split("\n");
  if (rows.at(-1)?.trim() === "") rows.pop();
  if (rows.length === 0) throw new ActError("data", `${file} is empty; expected one JSON object a line.`);
  return rows.map((row, i) => {
    const where = `${file}, line ${i + 1}`;
    let value: unknown;
    try {
      value = JSON.parse(row);
    } catch (error) {
      throw new ActError("data", `${where} is no JSON: ${(error as Error).message}`);
    }
    const parsed = v.safeParse(schema, value);
    if (parsed.success) return { value: parsed.output, where };
    const issue = parsed.issues[0];
    const missing = issue.received === "undefined" && v.getDotPath(issue);
    throw new ActError("data", `${where}: ${missing ? `${missing} is missing` : issue.message}.`);
  });
}
