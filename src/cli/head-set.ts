import { readFile } from "node:fs/promises";
import * as v from "valibot";
import { type Calibration, DEFAULT_BETA, DEFAULT_THRESHOLD, eligibleHeads, type HeadSet, HeadSetSchema } from "../protocol/calibration.js";
import type { ModelInfo } from "../protocol/engine.js";
import { ActError } from "../protocol/errors.js";
import { choice, type Flags, number, text, threshold } from "./arguments.js";

type Model = Pick<ModelInfo, "layers" | "heads" | "sha256" | "name">;

/** Finds a head set that comes with the product, by name; undefined for an unknown name. */
export type BundledSets = (name: string, model: Model) => Promise<HeadSet | undefined>;

/**
 * What `--heads` and its companions ask for; null = calibration off.
 * @param warn told when a set was made on another file of the same shape
 * @throws ActError `head-set` or `usage`
 */
export async function calibrationOf(
  flags: Flags,
  model: Model,
  bundled: BundledSets,
  warn: (text: string) => void,
): Promise<Calibration | null> {
  const asked = text(flags, "heads") ?? "none";
  const own = calibrationFlags(flags);
  if (asked === "none") return null;
  const set = asked === "all" ? undefined : ((await bundled(asked, model)) ?? (await readHeadSet(asked)));
  const base: Calibration = set
    ? { method: set.method, heads: set.heads, beta: set.beta, threshold: set.threshold, statistics: set.statistics }
    : {
        method: "act",
        heads: eligibleHeads(model.layers, model.heads),
        beta: DEFAULT_BETA,
        threshold: DEFAULT_THRESHOLD,
        statistics: "running",
      };
  if (set) checkModel(set, asked, model, warn);
  const calibration = { ...base, ...own };
  if (calibration.method === "act" && calibration.beta > 1)
    throw new ActError("usage", `--beta must be between 0 and 1, not ${calibration.beta}.`);
  return calibration;
}

/** The flags that say how heads are calibrated, for commands that choose the heads themselves as well. */
export function calibrationFlags(flags: Flags): Partial<Omit<Calibration, "heads">> {
  const method = choice(flags, "method", ["act", "zero-tuning"]);
  const beta = number(flags, "beta", { min: 0, ...(method === "zero-tuning" ? {} : { max: 1 }) });
  const limit = threshold(flags);
  const statistics = choice(flags, "statistics", ["running", "row"]);
  return {
    ...(method && { method }),
    ...(beta !== undefined && { beta }),
    ...(limit && { threshold: limit }),
    ...(statistics && { statistics }),
  };
}

/** @throws ActError `head-set` for a file that is missing, not JSON, of another schema version, or damaged. */
export async function readHeadSet(file: string): Promise<HeadSet> {
  let content: string;
  try {
    content = await readFile(file, "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new ActError(
      "head-set",
      code === "ENOENT"
        ? `There is no head set "${file}": give a file, a bundled name, all, or none.`
        : `The head set ${file} cannot be read (${code}).`,
    );
  }
  let value: unknown;
  try {
    value = JSON.parse(content);
  } catch {
    throw new ActError("head-set", `The head set ${file} is not JSON.`);
  }
  return parseHeadSet(value, file);
}

export function parseHeadSet(value: unknown, source: string): HeadSet {
  if (typeof value === "object" && value !== null && "schema" in value && value.schema !== 1)
    throw new ActError(
      "head-set",
      `The head set ${source} has schema version ${JSON.stringify(value.schema)}; this program reads version 1.`,
    );
  const result = v.safeParse(HeadSetSchema, value, { abortEarly: true });
  if (result.success) return result.output;
  const [issue] = result.issues;
  throw new ActError("head-set", `The head set ${source} is damaged at ${v.getDotPath(issue) ?? "its top level"}: ${issue.message}.`);
}

function checkModel(set: HeadSet, source: string, model: Model, warn: (text: string) => void): void {
  const { layers, heads, sha256 } = set.model;
  if (layers !== model.layers || heads !== model.heads)
    throw new ActError(
      "head-set",
      `The head set ${source} is for a model of ${layers} layers with ${heads} heads, but ${model.name} has ${model.layers} with ${model.heads}.`,
    );
  if (sha256 !== undefined && sha256 !== model.sha256)
    warn(`The head set ${source} was chosen on another model file of the same shape; its gain may not carry over.`);
  const seen = new Set<string>();
  for (const [layer, head] of set.heads) {
    if (layer >= layers || head >= heads)
      throw new ActError("head-set", `The head set ${source} names head [${layer}, ${head}], which its model does not have.`);
    if (seen.has(`${layer},${head}`)) throw new ActError("head-set", `The head set ${source} names head [${layer}, ${head}] twice.`);
    seen.add(`${layer},${head}`);
  }
}
