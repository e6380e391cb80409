import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import path from "node:path";
import { writeFileAtomic } from "./atomic.js";
import { cacheFolder } from "./cache-folder.js";

/** sha256 of a file as lower-case hex. Reads it once; later answers come from a small record keyed by path, size and time of change. */
export async function fileSha256(file: string, signal?: AbortSignal): Promise<string> {
  const { size, mtimeMs } = await stat(file);
  const key = `${path.resolve(file)} ${size} ${mtimeMs}`;
  const record = path.join(cacheFolder(), "hashes.json");
  const known = await readRecord(record);
  const before = known[key];
  if (before !== undefined) return before;
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20, ...(signal && { signal }) })) hash.update(chunk as Buffer);
  const sha256 = hash.digest("hex");
  // Only a shortcut: where it cannot be written, the file is read again next time.
  await writeFileAtomic(record, JSON.stringify({ ...known, [key]: sha256 }, null, 1)).catch(() => {});
  return sha256;
}

async function readRecord(file: string): Promise<Record<string, string>> {
  try {
    const value: unknown = JSON.parse(await readFile(file, "utf8"));
    return typeof value === "object" && value !== null ? (value as Record<string, string>) : {};
  } catch {
    return {};
  }
}
