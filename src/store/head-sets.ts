// Head-set files: read and checked, written whole, kept with their history.
import fs from "node:fs/promises";
import path from "node:path";
import * as v from "valibot";
import { HeadSchema, type HeadSet, HeadSetSchema, StatisticsSchema, ThresholdSchema } from "../protocol/calibration.js";
import { ActError } from "../protocol/errors.js";
import { writeFileAtomic } from "./atomic.js";
import { withLock } from "./lock.mjs";

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
  if (version !== 1)
    throw new ActError("head-set", `${source} has head-set schema ${JSON.stringify(version) ?? "none"}; this version reads schema 1.`);
  const parsed = v.safeParse(HeadSetSchema, json);
  if (!parsed.success) {
    const issue = parsed.issues[0];
    throw new ActError("head-set", `${source} is not a head set: ${v.getDotPath(issue) ?? "it"}: ${issue.message}.`);
  }
  const set = parsed.output;
  if (set.method === "act" && set.beta > 1) throw new ActError("head-set", `${source}: beta is ${set.beta}, but must be between 0 and 1.`);
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

const PublishedSchema = v.object({
  sets: v.array(
    v.object({
      name: v.string(),
      model: v.string(),
      layers: v.number(),
      heads: v.number(),
      beta: v.number(),
      threshold: ThresholdSchema,
      statistics: v.optional(StatisticsSchema),
      set: v.array(HeadSchema),
    }),
  ),
});

/**
 * The head lists published with the paper's code, from the data folder; none where it holds no such file.
 * @throws ActError `data` where the file is damaged
 */
export async function readPublishedHeadSets(dataFolder: string): Promise<HeadSet[]> {
  const file = path.join(dataFolder, "published_heads.json");
  let text: string;
  try {
    text = await fs.readFile(file, "utf8");
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes((error as NodeJS.ErrnoException).code ?? "")) return [];
    throw error;
  }
  let sets: v.InferOutput<typeof PublishedSchema>["sets"];
  try {
    sets = v.parse(PublishedSchema, JSON.parse(text)).sets;
  } catch (error) {
    throw new ActError("data", `${file} is damaged: ${(error as Error).message}`, { cause: error });
  }
  return sets.map(({ name, model, layers, heads, beta, threshold, statistics, set }) => ({
    schema: 1,
    name,
    method: "act",
    beta,
    threshold,
    statistics: statistics ?? "running",
    model: { name: model, layers, heads },
    heads: set,
  }));
}

/** What `--heads` may be besides `all` and `none`: a published name, or a file. @throws ActError `head-set` */
export async function findHeadSet(nameOrFile: string, dataFolder: string | null): Promise<HeadSet> {
  const published = dataFolder ? await readPublishedHeadSets(dataFolder) : [];
  const named = published.find((set) => set.name === nameOrFile);
  if (named) return named;
  const isFile = await fs.stat(nameOrFile).then(
    (stat) => stat.isFile(),
    () => false,
  );
  if (isFile || /\.json$/i.test(nameOrFile)) return readHeadSet(nameOrFile);
  const names = published.map((set) => set.name).join(", ");
  throw new ActError(
    "head-set",
    `"${nameOrFile}" is neither a head-set file nor a bundled name (${names || "none: --data names no folder with published_heads.json"}).`,
  );
}

export interface StoredHeadSet {
  id: string;
  set: HeadSet;
  saved: Date;
}

const ActiveSchema = v.record(v.string(), v.object({ id: v.string(), on: v.boolean() }));

/** The user's head sets, every one ever saved, and for each model which of them is in force. */
export class HeadSetHistory {
  constructor(readonly folder: string) {}

  /** @returns the set's id in this history. Errors: `store`. */
  async save(set: HeadSet): Promise<string> {
    const model = (set.model.sha256 ?? `${set.model.layers}x${set.model.heads}`).slice(0, 12).replaceAll(/[^\w.-]/g, "_");
    for (let attempt = 0; ; attempt++) {
      const id = `${new Date().toISOString().replaceAll(/[:.]/g, "-")}-${model}${attempt > 0 ? `-${attempt}` : ""}`;
      const taken = await fs.stat(this.file(id)).then(
        () => true,
        () => false,
      );
      if (taken) continue;
      await writeHeadSet(this.file(id), set);
      return id;
    }
  }

  /** Newest first; `damaged` names files that cannot be read, which are left where they are. */
  async list(): Promise<{ sets: StoredHeadSet[]; damaged: string[] }> {
    const names = (await fs.readdir(this.folder).catch(() => [] as string[])).filter((name) => name.endsWith(".json") && name !== ACTIVE);
    const sets: StoredHeadSet[] = [];
    const damaged: string[] = [];
    for (const name of names.sort().reverse()) {
      try {
        const file = path.join(this.folder, name);
        sets.push({ id: name.slice(0, -".json".length), set: await readHeadSet(file), saved: (await fs.stat(file)).mtime });
      } catch {
        damaged.push(name);
      }
    }
    return { sets, damaged };
  }

  read(id: string): Promise<HeadSet> {
    return readHeadSet(this.file(id));
  }

  async remove(id: string): Promise<void> {
    await fs.rm(this.file(id), { force: true });
    await this.changeActive((active) => {
      for (const [model, entry] of Object.entries(active)) if (entry.id === id) delete active[model];
    });
  }

  /** The set in force for a model, by the model's sha256; null where none is. */
  async active(sha256: string): Promise<{ id: string; on: boolean } | null> {
    return (await this.readActive())[sha256] ?? null;
  }

  async setActive(sha256: string, id: string, on: boolean): Promise<void> {
    await this.changeActive((active) => {
      active[sha256] = { id, on };
    });
  }

  private file(id: string): string {
    if (!/^[\w.-]+$/.test(id)) throw new ActError("usage", `"${id}" is not the name of a saved head set.`);
    return path.join(this.folder, `${id}.json`);
  }

  private async changeActive(edit: (active: v.InferOutput<typeof ActiveSchema>) => void): Promise<void> {
    const file = path.join(this.folder, ACTIVE);
    await withLock(`${file}.lock`, async () => {
      const active = await this.readActive();
      edit(active);
      await writeFileAtomic(file, JSON.stringify(active, null, 2));
    });
  }

  private async readActive(): Promise<v.InferOutput<typeof ActiveSchema>> {
    const parsed = await fs
      .readFile(path.join(this.folder, ACTIVE), "utf8")
      .then((text) => v.safeParse(ActiveSchema, JSON.parse(text)))
      .catch(() => null);
    return parsed?.success ? parsed.output : {};
  }
}

const ACTIVE = "active.json";
