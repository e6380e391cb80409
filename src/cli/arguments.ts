import path from "node:path";
import { type ParseArgsConfig, parseArgs } from "node:util";
import type { Threshold } from "../protocol/calibration.js";
import { ActError } from "../protocol/errors.js";

/** Flags as they were typed; a flag that may be repeated is a list. */
export type Flags = Record<string, string | boolean | (string | boolean)[] | undefined>;
export type FlagDefinitions = NonNullable<ParseArgsConfig["options"]>;

/** Flags of every command. */
export const commonFlags: FlagDefinitions = {
  model: { type: "string" },
  backend: { type: "string" },
  threads: { type: "string" },
  context: { type: "string" },
  ubatch: { type: "string" },
  "flash-attention": { type: "string" },
  "cache-type": { type: "string" },
  "gpu-layers": { type: "string" },
  heads: { type: "string" },
  method: { type: "string" },
  beta: { type: "string" },
  threshold: { type: "string" },
  statistics: { type: "string" },
  data: { type: "string" },
  json: { type: "boolean" },
  verbose: { type: "boolean" },
  help: { type: "boolean", short: "h" },
};

/** @throws ActError `usage` for an unknown flag or a flag without its value. */
export function parse(args: string[], own: FlagDefinitions): { flags: Flags; rest: string[] } {
  const options = { ...commonFlags, ...own };
  try {
    const { values, positionals } = parseArgs({ args: joinValues(args, options), options, allowPositionals: true, strict: true });
    return { flags: values, rest: positionals };
  } catch (error) {
    const said = (error instanceof Error ? error.message : String(error)).split(/\. |\n/)[0] ?? "";
    throw new ActError("usage", `${said.replace(/\.$/, "")}. Use --help to see what there is.`);
  }
}

/** A value may begin with a dash (`--prompt "-5 degrees"`, `--seed -3`): a flag that takes a value takes what follows it. */
function joinValues(args: readonly string[], options: FlagDefinitions): string[] {
  const joined: string[] = [];
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] ?? "";
    const next = args[i + 1];
    const takesValue = arg.startsWith("--") && options[arg.slice(2)]?.type === "string";
    // `--task --json` is a forgotten value, not a value that looks like a flag.
    if (takesValue && next !== undefined && !isFlag(next, options)) {
      joined.push(`${arg}=${next}`);
      i++;
    } else joined.push(arg);
  }
  return joined;
}

function isFlag(arg: string, options: FlagDefinitions): boolean {
  return arg.startsWith("--") && (arg.slice(2).split("=")[0] ?? "") in options;
}

export function text(flags: Flags, name: string): string | undefined {
  const value = flags[name];
  return typeof value === "string" ? value : undefined;
}

export function list(flags: Flags, name: string): string[] {
  const value = flags[name];
  const all = Array.isArray(value) ? value : value === undefined ? [] : [value];
  return all.flatMap((item) => (typeof item === "string" ? item.split(",") : [])).filter((item) => item !== "");
}

/** @throws ActError `usage` unless the flag is absent or a number inside the bounds. */
export function number(
  flags: Flags,
  name: string,
  { min = Number.NEGATIVE_INFINITY, max = Number.POSITIVE_INFINITY, whole = false } = {},
): number | undefined {
  const typed = text(flags, name);
  if (typed === undefined) return undefined;
  const value = typed.trim() === "" ? Number.NaN : Number(typed);
  if (Number.isFinite(value) && value >= min && value <= max && (!whole || Number.isInteger(value))) return value;
  const bounds =
    Number.isFinite(min) && Number.isFinite(max) ? ` between ${min} and ${max}` : Number.isFinite(min) ? ` of at least ${min}` : "";
  throw new ActError("usage", `--${name} needs a ${whole ? "whole " : ""}number${bounds}, not "${typed}".`);
}

export function count(flags: Flags, name: string): number | undefined {
  return number(flags, name, { min: 1, whole: true });
}

/** @throws ActError `usage` unless the flag is absent or one of `choices`. */
export function choice<T extends string>(flags: Flags, name: string, choices: readonly T[]): T | undefined {
  const typed = text(flags, name);
  if (typed === undefined) return undefined;
  const found = choices.find((one) => one === typed);
  if (found === undefined) throw new ActError("usage", `--${name} must be one of ${choices.join(", ")}, not "${typed}".`);
  return found;
}

/** `fixed:0.1` or `relative:5`. */
export function threshold(flags: Flags): Threshold | undefined {
  const typed = text(flags, "threshold");
  if (typed === undefined) return undefined;
  const [, mode, digits = ""] = /^(fixed|relative):(.+)$/.exec(typed) ?? [];
  const value = Number(digits);
  if (mode === undefined || digits.trim() === "" || !Number.isFinite(value) || value < 0)
    throw new ActError("usage", `--threshold must be like fixed:0.1 or relative:5, not "${typed}".`);
  return { mode: mode as Threshold["mode"], value };
}

/** `--data`, else the environment variable ACT_DATA. */
export function dataFolder(flags: Flags): string | undefined {
  const data = text(flags, "data") ?? (process.env.ACT_DATA || undefined);
  return data === undefined ? undefined : path.resolve(data);
}

/** The same as a part of a request; without it the engine looks into the cache. */
export function dataFlag(flags: Flags): { data?: string } {
  const data = dataFolder(flags);
  return data === undefined ? {} : { data };
}
