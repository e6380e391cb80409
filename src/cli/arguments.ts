import path from "node:path";
import { parseArgs } from "node:util";
import * as v from "valibot";
import { MethodSchema, StatisticsSchema, type Threshold } from "../protocol/calibration.js";
import { ActError } from "../protocol/errors.js";
import { BackendChoiceSchema, ContextSizeSchema, count as countSchema, ThreadsSchema, whole } from "../protocol/requests/fields.js";
import { LoadSchema } from "../protocol/requests/load.js";
import { checkValue, type FlagTable } from "./flags.js";
import { suggest } from "./suggest.js";

/** Flags as they were typed, each checked by its schema; a flag that may be repeated is a list. */
export type Flags = Record<string, string | boolean | (string | boolean)[] | undefined>;

/** Flags of every command. */
export const commonFlags = {
  model: { value: "FILE", does: "GGUF model file", default: "$ACT_MODEL, else the default model" },
  backend: { value: "NAME", does: "where the model runs", schema: BackendChoiceSchema, default: "auto" },
  threads: { value: "N", does: "threads of the CPU backend", schema: ThreadsSchema, default: "one for each core" },
  context: { value: "N", does: "tokens of context", schema: ContextSizeSchema, default: "what the command needs" },
  ubatch: { value: "N", does: "tokens that one graph evaluation takes", schema: countSchema, default: "what the command needs" },
  "flash-attention": { value: "WHEN", does: "FlashAttention", schema: v.unwrap(LoadSchema.entries.flashAttention), default: "auto" },
  "cache-type": { value: "TYPE", does: "type of the KV cache", schema: v.unwrap(LoadSchema.entries.cacheType), default: "f16" },
  "gpu-layers": { value: "N", does: "layers on the GPU", schema: whole(0), default: "as many as fit" },
  heads: { value: "SET", does: "heads to calibrate: a head-set file, the name of a known set, all, or none", default: "none" },
  method: { value: "NAME", does: "how heads are calibrated", schema: MethodSchema, default: "act" },
  beta: { value: "X", does: "what a sink keeps of its attention", schema: v.pipe(v.number(), v.minValue(0)), default: "0.4" },
  threshold: { value: "MODE:X", does: "what counts as a sink: fixed:0.1, or relative:5", default: "fixed:0.1" },
  statistics: { value: "NAME", does: "rows that column means count", schema: StatisticsSchema, default: "running" },
  data: { value: "DIR", does: "folder of the evaluation data", default: "$ACT_DATA, else the cache" },
  json: { does: "one JSON document on standard output, nothing else there" },
  verbose: { does: "log lines of the engine on standard error" },
  help: { does: "show this", short: "h" },
} satisfies FlagTable;

/** @throws ActError `usage` for an unknown flag, a flag without its value, or a value outside its bounds */
export function parse(args: string[], own: FlagTable): { flags: Flags; rest: string[] } {
  const table: FlagTable = { ...commonFlags, ...own };
  const options = Object.fromEntries(
    Object.entries(table).map(([name, { value, many, short }]) => [
      name,
      { type: value === undefined ? ("boolean" as const) : ("string" as const), ...(many && { multiple: true }), ...(short && { short }) },
    ]),
  );
  const unknown = args.find((arg) => arg.startsWith("--") && arg !== "--" && !isFlag(arg, table));
  let parsed: { values: Flags; positionals: string[] };
  try {
    parsed = parseArgs({ args: joinValues(args, table), options, allowPositionals: true, strict: true });
  } catch (error) {
    const near = unknown ? suggest(unknown.slice(2).split("=")[0] ?? "", Object.keys(table)) : null;
    const said = (error instanceof Error ? error.message : String(error)).split(/\. |\n/)[0] ?? "";
    throw new ActError("usage", `${said.replace(/\.$/, "")}. ${near ? `Did you mean --${near}? ` : ""}Use --help to see what there is.`);
  }
  for (const [name, flag] of Object.entries(table))
    for (const given of [parsed.values[name]].flat()) if (typeof given === "string") checkValue(name, flag, given);
  return { flags: parsed.values, rest: parsed.positionals };
}

/**
 * A value may begin with a dash (`--prompt "-5 degrees"`, `--seed -3`): a flag that takes a value takes what follows it, and one that may be repeated
 * takes all that follows up to the next flag (`--task sst2 MR --merge a.jsonl b.jsonl`).
 */
function joinValues(args: readonly string[], table: FlagTable): string[] {
  const joined: string[] = [];
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] ?? "";
    const next = args[i + 1];
    const takesValue = arg.startsWith("--") && table[arg.slice(2)]?.value !== undefined;
    // `--task --json` is a forgotten value, not a value that looks like a flag.
    if (takesValue && next !== undefined && !isFlag(next, table)) {
      joined.push(`${arg}=${next}`);
      i++;
      if (!table[arg.slice(2)]?.many) continue;
      for (let more = args[i + 1]; more !== undefined && !more.startsWith("-"); more = args[i + 1]) {
        joined.push(`${arg}=${more}`);
        i++;
      }
    } else joined.push(arg);
  }
  return joined;
}

function isFlag(arg: string, table: FlagTable): boolean {
  return arg.startsWith("--") && Object.hasOwn(table, arg.slice(2).split("=")[0] ?? "");
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

/** A flag whose schema is a number, which parsing has checked. */
export function number(flags: Flags, name: string): number | undefined {
  const typed = text(flags, name);
  return typed === undefined ? undefined : Number(typed);
}

/** A flag with choices, which parsing has checked. @param schema the flag's own */
export function choice<S extends v.GenericSchema>(flags: Flags, name: string, schema: S): v.InferOutput<S> | undefined {
  const typed = text(flags, name);
  return typed === undefined ? undefined : v.parse(schema, typed);
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
