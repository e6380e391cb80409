// Head-set files: read and checked, written whole.
import fs from "node:fs/promises";
import * as v from "valibot";
import { type HeadSet, HeadSetSchema } from "../../protocol/calibration.js";
import { ActError } from "../../protocol/errors.js";
import { writeFileAtomic } from "../atomic.js";

/** What of a model a head set must fit. */
export interface ModelShape {
  name: string;
  sha256?: string;
  layers: number;
  heads: number;
}

/**
 * @param source how the text is called in messages
 * @throws ActError `head-set`: not JSON, another schema, duplicate heads, heads that its own model does not have
 */
export function parseHeadSet(text: string, source: string): HeadSet {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new ActError("head-set", `${source} is not JSON: ${(error as Error).message}.`, { cause: error });
  }
  const version = (json as { schema?: unknown } | null)?.schema;
  if (version !== 1 && version !== 2)
    throw new ActError(
      "head-set",
      `${source} has head-set schema ${JSON.stringify(version) ?? "none"}; this version reads schemas 1 and 2.`,
    );
  const parsed = v.safeParse(HeadSetSchema, json);
  if (!parsed.success) {
    const issue = parsed.issues[0];
    const where = v.getDotPath(issue);
    throw new ActError("head-set", `${source} is not a head set: ${where === null ? "" : `${where}: `}${issue.message}.`);
  }
  const set = parsed.output;
  assertHeads(set.heads, set.model, source);
  return set;
}

export async function readHeadSet(file: string): Promise<HeadSet> {
  let text: string;
  try {
    text = await fs.readFile(file, "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new ActError(
      "head-set",
      `The head set ${file} ${code === "ENOENT" ? "does not exist" : `cannot be read (${code})`}. Check the path.`,
      { cause: error },
    );
  }
  return parseHeadSet(text, file);
}

/** Errors: `store`. */
export async function writeHeadSet(file: string, set: HeadSet): Promise<void> {
  await writeFileAtomic(file, `${JSON.stringify(set, null, 2)}\n`);
}

/**
 * Whether a head set may be used with a model.
 * @returns a warning in a sentence where it may, but was made for another file of the same shape; else null
 * @throws ActError `head-set` where layers or heads differ
 */
export function checkHeadSet(set: HeadSet, model: ModelShape, source = "The head set"): string | null {
  const { layers, heads, sha256, name } = set.model;
  if (layers !== model.layers || heads !== model.heads)
    throw new ActError(
      "head-set",
      `${source} is for a model of ${layers} layers and ${heads} heads; ${model.name} has ${model.layers} and ${model.heads}. Calibrate this model, or choose the other one.`,
    );
  assertHeads(set.heads, model, source);
  if (sha256 && model.sha256 && sha256 !== model.sha256)
    return `${source} was made for ${name ?? "another model file"} (sha256 ${sha256.slice(0, 12)}), not for this file of the same shape; it may help less here.`;
  return null;
}

function assertHeads(heads: readonly (readonly [number, number])[], model: { layers: number; heads: number }, source: string): void {
  const seen = new Set<number>();
  for (const [layer, head] of heads) {
    if (layer >= model.layers || head >= model.heads)
      throw new ActError(
        "head-set",
        `${source} names layer ${layer}, head ${head}, but the model has ${model.layers} layers of ${model.heads} heads, counted from 0.`,
      );
    const id = layer * model.heads + head;
    if (seen.has(id)) throw new ActError("head-set", `${source} names layer ${layer}, head ${head} twice.`);
    seen.add(id);
  }
}
