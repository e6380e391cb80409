// Model files that crashed the engine when they were loaded or used. A file stays listed until it changes (size or time), or is released by its user.
import fs from "node:fs/promises";
import path from "node:path";
import * as v from "valibot";
import { ActError } from "../protocol/errors.js";
import { writeFileAtomic } from "./atomic.js";
import { cacheFolder } from "./cache-folder.js";
import { withLock } from "./lock.mjs";

const EntrySchema = v.object({ size: v.number(), mtimeMs: v.number(), reason: v.string(), at: v.string() });
const ListSchema = v.record(v.string(), EntrySchema);
type List = v.InferOutput<typeof ListSchema>;

const listFile = () => path.join(cacheFolder(), "quarantine.json");

/** @param reason what happened, in a sentence */
export async function quarantine(file: string, reason: string): Promise<void> {
  const { size, mtimeMs } = await fs.stat(file);
  await change((list) => {
    list[path.resolve(file)] = { size, mtimeMs, reason, at: new Date().toISOString() };
  });
}

export async function releaseFromQuarantine(file: string): Promise<void> {
  await change((list) => {
    delete list[path.resolve(file)];
  });
}

/** @throws ActError `model-file` when this very file crashed the engine before */
export async function assertNotQuarantined(file: string): Promise<void> {
  const entry = (await read())[path.resolve(file)];
  if (!entry) return;
  const { size, mtimeMs } = await fs.stat(file);
  if (entry.size !== size || entry.mtimeMs !== mtimeMs) return; // another file by now
  throw new ActError(
    "model-file",
    `${file} crashed the engine before (${entry.reason}). It is not tried again until the file changes: download it again, choose another model, or remove its entry from ${listFile()}.`,
  );
}

async function change(edit: (list: List) => void): Promise<void> {
  await withLock(`${listFile()}.lock`, async () => {
    const list = await read();
    edit(list);
    await writeFileAtomic(listFile(), JSON.stringify(list, null, 2));
  });
}

/** A damaged list protects nobody; it counts as empty and is replaced by the next change. */
async function read(): Promise<List> {
  const text = await fs.readFile(listFile(), "utf8").catch(() => "{}");
  try {
    return v.parse(ListSchema, JSON.parse(text));
  } catch {
    return {};
  }
}
