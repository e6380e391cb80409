import fs from "node:fs/promises";
import path from "node:path";
import process from "node:process";

const LEFT_OUT = new Set(["node_modules", "dist", ".cache", ".git", "test-results"]);

/** Files under the folders, as paths relative to `root` with forward slashes, sorted. Folders that do not exist hold none. */
export async function listFiles(root: string, folders: string[]): Promise<string[]> {
  const found: string[] = [];
  const walk = async (folder: string): Promise<void> => {
    const entries = await fs.readdir(path.join(root, folder), { withFileTypes: true }).catch(() => []);
    for (const entry of entries) {
      const file = folder === "" ? entry.name : `${folder}/${entry.name}`;
      if (entry.isDirectory() && !LEFT_OUT.has(entry.name)) await walk(file);
      else if (entry.isFile()) found.push(file);
    }
  };
  for (const folder of folders) await walk(folder);
  return found.sort();
}

/** Copies a folder so that it appears complete or not at all. */
export async function copyInto(from: string, to: string, more: Record<string, string>): Promise<void> {
  const draft = `${to}.${process.pid}.tmp`;
  await fs.rm(draft, { recursive: true, force: true });
  await fs.cp(from, draft, { recursive: true });
  for (const [file, text] of Object.entries(more)) await fs.writeFile(path.join(draft, file), text);
  await fs.rm(to, { recursive: true, force: true });
  await fs.rename(draft, to);
}
