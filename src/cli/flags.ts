import * as v from "valibot";
import { ActError } from "../protocol/errors.js";
import { boundsOf } from "../protocol/requests/fields.js";

/** One flag of a command. Parsing, checks, help, shell completion and docs/act.md are made from it. */
export interface Flag {
  /** What it means, in a phrase. */
  does: string;
  /** Name of its value in the help, for example "N" or "FILE"; without one the flag is a switch. */
  value?: string;
  /** What happens without it, where that is worth saying. */
  default?: string;
  /** Checked when the flag is parsed: a number with its bounds, or a list of choices. From the request's schema where it goes into one. */
  schema?: v.GenericSchema;
  /** May be given several times, or hold several values separated by commas. */
  many?: boolean;
  short?: string;
}
export type FlagTable = Record<string, Flag>;

/** @throws ActError `usage` naming the flag, what it needs and what was given */
export function checkValue(name: string, { schema }: Flag, given: string): void {
  if (!schema) return;
  if (isNumber(schema)) {
    const value = given.trim() === "" ? Number.NaN : Number(given);
    if (Number.isFinite(value) && v.is(schema, value)) return;
    const { isWhole } = boundsOf(schema);
    throw new ActError("usage", `--${name} needs a ${isWhole ? "whole " : ""}number${boundsText(schema)}, not "${given}".`);
  }
  if (!v.is(schema, given)) throw new ActError("usage", `--${name} must be one of ${choicesOf(schema).join(", ")}, not "${given}".`);
}

/** The values that a flag may have; empty where it is not a list of choices. */
export function choicesOf(schema: v.GenericSchema | undefined): string[] {
  return schema && "options" in schema ? (schema.options as string[]) : [];
}

/** Bounds and default for the help: " (0 to 64; default 0)". */
export function limitsText({ schema, default: without }: Flag): string {
  const parts = [];
  if (schema && isNumber(schema))
    parts.push(
      boundsText(schema)
        .replace(/^ (between |of )/, "")
        .replace(" and ", " to "),
    );
  else if (schema) parts.push(choicesOf(schema).join(", "));
  if (without !== undefined) parts.push(`default ${without}`);
  const said = parts.filter((part) => part !== "");
  return said.length > 0 ? ` (${said.join("; ")})` : "";
}

function boundsText(schema: v.GenericSchema): string {
  const { least, most } = boundsOf(schema);
  if (least !== null && most !== null) return ` between ${least} and ${most}`;
  return least === null ? "" : ` of at least ${least}`;
}

function isNumber(schema: v.GenericSchema): boolean {
  return schema.type === "number";
}
