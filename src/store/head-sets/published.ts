// The head lists published with the paper's code, and what `--heads` may name.
import fs from "node:fs/promises";
import path from "node:path";
import * as v from "valibot";
import { HeadSchema, type HeadSet, StatisticsSchema, ThresholdSchema } from "../../protocol/calibration.js";
import { ActError } from "../../protocol/errors.js";
import { readHeadSet } from "./file.js";

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
    schema: 2,
    use: "task",
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
