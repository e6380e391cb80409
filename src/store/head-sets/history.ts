// The head sets that a user has found or imported, one file each.
import fs from "node:fs/promises";
import path from "node:path";
import type { HeadSet } from "../../protocol/calibration.js";
import { ActError } from "../../protocol/errors.js";
import { readHeadSet, writeHeadSet } from "./file.js";

export interface StoredHeadSet {
  id: string;
  set: HeadSet;
  saved: Date;
}

/** The user's head sets, every one ever saved. Which of them is switched on is said elsewhere. */
export class HeadSetHistory {
  constructor(readonly folder: string) {}

  /** @returns the set's id in this history. Errors: `store`. */
  async save(set: HeadSet): Promise<string> {
    const model = (set.model.sha256 ?? `${set.model.layers}x${set.model.heads}`).slice(0, 12).replaceAll(/[^\w.-]/g, "_");
    for (let attempt = 0; ; attempt++) {
      const id = `${new Date().toISOString().replaceAll(/[:.]/g, "-")}-${model}${attempt > 0 ? `-${attempt}` : ""}`;
      const taken = await fs.stat(this.fileOf(id)).then(
        () => true,
        () => false,
      );
      if (taken) continue;
      await writeHeadSet(this.fileOf(id), set);
      return id;
    }
  }

  /** Newest first; `damaged` names files that cannot be read, which are left where they are. */
  async list(): Promise<{ sets: StoredHeadSet[]; damaged: string[] }> {
    const names = (await fs.readdir(this.folder).catch(() => [] as string[])).filter((name) => name.endsWith(".json"));
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

  async remove(id: string): Promise<void> {
    await fs.rm(this.fileOf(id), { force: true });
  }

  /** The file of a saved set. @throws ActError `usage` for what is no id */
  fileOf(id: string): string {
    if (!/^[\w.-]+$/.test(id)) throw new ActError("usage", `"${id}" is not the name of a saved head set.`);
    return path.join(this.folder, `${id}.json`);
  }
}
