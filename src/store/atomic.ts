import { randomUUID } from "node:crypto";
import fs from "node:fs/promises";
import path from "node:path";
import { ActError } from "../protocol/errors.js";
import { makeFolder } from "./folder.mjs";

/** Writes the whole file or nothing: a reader sees the old content or the new one. Creates the folder. Errors: `store`. */
export async function writeFileAtomic(file: string, content: string | Uint8Array): Promise<void> {
  const draft = `${file}.${randomUUID()}.tmp`;
  try {
    await makeFolder(path.dirname(path.resolve(file)));
    const handle = await fs.open(draft, "wx");
    try {
      await handle.writeFile(content);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await fs.rename(draft, file);
  } catch (error) {
    await fs.rm(draft, { force: true }).catch(() => undefined);
    throw storeError(error, file);
  }
}

/** Turns a file system error into a sentence that names the file and what to do; anything else passes unchanged. */
export function storeError(error: unknown, file: string): unknown {
  switch ((error as NodeJS.ErrnoException)?.code) {
    case "ENOSPC":
    case "EDQUOT":
      return new ActError("store", `There is no space left to write ${file}. Free some space and try again.`, { cause: error });
    case "EACCES":
    case "EPERM":
    case "EROFS":
      return new ActError("store", `${file} cannot be written: permission denied. Choose another place or change its permissions.`, {
        cause: error,
      });
    case "EISDIR":
      return new ActError("store", `${file} is a folder, not a file.`, { cause: error });
    case "ENOENT":
      return new ActError("store", `${file} cannot be written: its folder does not exist and cannot be made.`, { cause: error });
    case "ENOTDIR":
    case "EEXIST":
      return new ActError("store", `${file} cannot be written: part of its path is not a folder.`, { cause: error });
    default:
      return error;
  }
}
