// Evaluation data: a folder with one sub-folder a task (train.jsonl, test.jsonl), from --data or ACT_DATA, else the cache.
import fs from "node:fs/promises";
import path from "node:path";
import { parseOwnTask } from "../core/tasks/custom.js";
import { findTask } from "../core/tasks/index.js";
import { type Item, parseItems, type Task } from "../core/tasks/task.js";
import { ActError } from "../protocol/errors.js";
import { cacheFolder } from "./cache-folder.js";
import { fetchHubData } from "./hub-data.js";
import { readTextFile } from "./text-file.js";

export interface TaskData {
  task: Task;
  train: Item[];
  test: Item[];
}

export interface DataOptions {
  /** Folder that was asked for; default: the environment variable ACT_DATA, then the cache, then the Hub. */
  data?: string;
  env?: NodeJS.ProcessEnv;
  signal?: AbortSignal;
}

/** A published task by name, or a user's own from a .json or .jsonl file. @throws ActError `usage` (unknown task), `data` (missing or malformed), `download` */
export async function loadTask(name: string, options: DataOptions): Promise<TaskData> {
  if (/\.jsonl?$/i.test(name)) {
    const text = await readText(name, `The task file ${name} cannot be read`);
    return parseOwnTask(text, name);
  }
  const task = findTask(name);
  const folder = await taskFolder(task.name, options);
  const [train, test] = await Promise.all((["train", "test"] as const).map((split) => readSplit(task, folder, split)));
  return { task, train: train as Item[], test: test as Item[] };
}

/** The eighty two-turn questions. */
export async function loadMtBench(options: DataOptions): Promise<{ text: string; file: string }> {
  return await loadSplit("mt_bench", "test", options);
}

/** A split of a data set that is not made of labelled items, as text. @throws ActError `data`, `download` */
export async function loadSplit(name: string, split: "train" | "test", options: DataOptions): Promise<{ text: string; file: string }> {
  const file = path.join(await taskFolder(name, options), `${split}.jsonl`);
  return { file, text: await readText(file, `The ${split} split of ${name} cannot be read`) };
}

async function taskFolder(task: string, { data, env = process.env, signal }: DataOptions): Promise<string> {
  const asked = data ?? (env.ACT_DATA || undefined);
  if (asked !== undefined) {
    const folder = path.join(asked, task);
    if (await exists(folder)) return folder;
    throw new ActError("data", `There is no folder "${task}" in the evaluation data ${asked}. Check --data or ACT_DATA.`);
  }
  const folder = path.join(cacheFolder(env), "data", task);
  if (!(await exists(folder))) await fetchHubData(task, folder, { signal });
  return folder;
}

async function readSplit(task: Task, folder: string, split: "train" | "test"): Promise<Item[]> {
  const file = path.join(folder, `${split}.jsonl`);
  return parseItems(task, await readText(file, `The ${split} split of ${task.name} cannot be read`), file);
}

async function readText(file: string, what: string): Promise<string> {
  try {
    return await readTextFile(file);
  } catch (error) {
    throw new ActError("data", `${what}: ${(error as Error).message}.`, { cause: error });
  }
}

async function exists(file: string): Promise<boolean> {
  return await fs.stat(file).then(
    () => true,
    () => false,
  );
}
