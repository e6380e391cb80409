// Evaluation data from the Hugging Face Hub: one revision and the content's hash are fixed before anything is used. Where this version knows
// them they are written here; else the Hub's own record at first use is, beside the data, and every later download must agree with it.
import { createHash } from "node:crypto";
import fs from "node:fs/promises";
import path from "node:path";
import * as v from "valibot";
import { random, shuffled } from "../core/numbers/random.js";
import { findTask } from "../core/tasks/index.js";
import { parseItem } from "../core/tasks/task.js";
import { ActError } from "../protocol/errors.js";
import { writeFileAtomic } from "./atomic.js";
import { download } from "./download.js";
import { hubUrl } from "./models.js";

export interface HubSource {
  repository: string;
  /** A commit where it is known; a branch is resolved to its commit once, and recorded. */
  revision: string;
  files: { split: "train" | "test"; path: string; sha256?: string }[];
  /** A row of the Hub's file as one of ours; null where it is to be left out. */
  convert(row: Record<string, unknown>): Record<string, unknown> | null;
}

const textAndLabel = ({ text, label }: Record<string, unknown>) =>
  typeof text === "string" && text.trim() !== "" ? { text, label } : null;
const setFit = (name: string, test: string): HubSource => ({
  repository: `datasets/SetFit/${name}`,
  revision: "main",
  files: [
    { split: "train", path: "train.jsonl" },
    { split: "test", path: test },
  ],
  convert: textAndLabel,
});

/** Data sets that the Hub holds as JSON Lines. The others are there in forms only that this does not read. */
export const HUB_SOURCES: Readonly<Record<string, HubSource>> = {
  sst2: setFit("sst2", "dev.jsonl"),
  sst5: setFit("sst5", "dev.jsonl"),
  SUBJ: setFit("subj", "test.jsonl"),
  AGNews: setFit("ag_news", "test.jsonl"),
  mt_bench: {
    repository: "spaces/lmsys/mt-bench",
    revision: "main",
    files: [{ split: "test", path: "data/mt_bench/question.jsonl" }],
    convert: (row) => row,
  },
};

/** What the files of a task must be, recorded at first use. */
const RecordSchema = v.object({
  repository: v.string(),
  commit: v.pipe(v.string(), v.regex(/^[0-9a-f]{40}$/)),
  files: v.record(v.string(), v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/))),
});
type Pinned = v.InferOutput<typeof RecordSchema>;

/** Rows kept of each split, drawn with this seed. */
const ROWS = { train: 1200, test: 500 } as const;
const SEED = 42;

export interface HubOptions {
  signal?: AbortSignal;
  endpoint?: string;
  sources?: Readonly<Record<string, HubSource>>;
}

/** Puts a task's data into `folder`, complete or not at all. @throws ActError `data` (the Hub's form is not readable here), `download`, `store` */
export async function fetchHubData(
  task: string,
  folder: string,
  { signal, endpoint, sources = HUB_SOURCES }: HubOptions = {},
): Promise<void> {
  const source = sources[task];
  if (!source)
    throw new ActError(
      "data",
      `The evaluation data of ${task} is not here and cannot be fetched from the Hub in a form that is read. Put it into a folder and name that: act … --data FOLDER, or the variable ACT_DATA for the editor.`,
    );
  const record = `${folder}.pin.json`;
  const pinned = await readPin(record, source.repository);
  const commit = pinned?.commit ?? (await resolveCommit(source, endpoint, signal));
  const draft = `${folder}.partial`;
  await fs.mkdir(draft, { recursive: true });
  const hashes: Record<string, string> = {};
  for (const { split, path: file, sha256 } of source.files) {
    const raw = path.join(draft, `${split}.raw`);
    const expected = sha256 ?? pinned?.files[file];
    const done = await download({
      url: hubUrl(source.repository, file, commit, endpoint),
      file: raw,
      ...(expected === undefined ? {} : { sha256: expected }),
      maxBytes: 1 << 29,
      ...(signal ? { signal } : {}),
    });
    hashes[file] = done.sha256;
    await writeFileAtomic(path.join(draft, `${split}.jsonl`), convertRows(task, await fs.readFile(raw, "utf8"), split, source, file));
    await fs.rm(raw);
  }
  await writeFileAtomic(record, `${JSON.stringify({ repository: source.repository, commit, files: hashes } satisfies Pinned, null, 2)}\n`);
  await fs.rename(draft, folder);
}

/** The commit that a branch points to now; a commit is itself. */
async function resolveCommit(
  { repository, revision, files }: HubSource,
  endpoint: string | undefined,
  signal: AbortSignal | undefined,
): Promise<string> {
  if (/^[0-9a-f]{40}$/.test(revision)) return revision;
  const url = hubUrl(repository, files[0]?.path ?? "", revision, endpoint);
  const timeout = AbortSignal.timeout(15_000);
  const response = await fetch(url, {
    method: "HEAD",
    redirect: "manual",
    signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
  }).catch((error: unknown) => {
    if (signal?.aborted) throw error;
    throw new ActError(
      "download",
      `${new URL(url).host} cannot be reached. Try again with a connection, or name a folder with the evaluation data: act … --data FOLDER, or the variable ACT_DATA for the editor.`,
      { cause: error },
    );
  });
  if (response.status >= 400) throw new ActError("download", `${url}: the Hub answered ${response.status}.`);
  const commit = response.headers.get("x-repo-commit") ?? "";
  if (!/^[0-9a-f]{40}$/.test(commit))
    throw new ActError("download", `${url}: the Hub does not say which revision that is, so it cannot be pinned.`);
  return commit;
}

async function readPin(file: string, repository: string): Promise<Pinned | null> {
  const text = await fs.readFile(file, "utf8").catch(() => null);
  if (text === null) return null;
  const parsed = v.safeParse(RecordSchema, JSON.parse(text));
  if (!parsed.success || parsed.output.repository !== repository)
    throw new ActError("data", `${file} is damaged or belongs to another data set. Remove it to pin the Hub's current revision anew.`);
  return parsed.output;
}

/** Our form of a split: duplicates by text left out, drawn by the seed, every row checked against its task. */
function convertRows(task: string, text: string, split: "train" | "test", source: HubSource, file: string): string {
  const rows: Record<string, unknown>[] = [];
  const seen = new Set<string>();
  for (const [i, line] of text.split("\n").entries()) {
    if (line.trim() === "") continue;
    let row: Record<string, unknown>;
    try {
      row = JSON.parse(line) as Record<string, unknown>;
    } catch (error) {
      throw new ActError("data", `${source.repository}/${file}, line ${i + 1} is no JSON: ${(error as Error).message}`);
    }
    const own = source.convert(row);
    const key = createHash("sha256").update(JSON.stringify(own).toLowerCase().replace(/\s+/g, " ")).digest("hex");
    if (!own || seen.has(key)) continue;
    seen.add(key);
    const id = `${task}-${split}-${i}`;
    if (task !== "mt_bench") parseItem(findTask(task), { id, ...own }, `${source.repository}/${file}, line ${i + 1}`);
    rows.push(task === "mt_bench" ? own : { id, ...own, split });
  }
  if (rows.length === 0) throw new ActError("data", `${source.repository}/${file} has no usable row.`);
  const kept = task === "mt_bench" ? rows : shuffled(rows, random(SEED)).slice(0, ROWS[split]);
  return `${kept.map((row) => JSON.stringify(row)).join("\n")}\n`;
}
