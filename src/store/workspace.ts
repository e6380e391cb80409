// The user's own source files: those that git tracks; without git those that the ignore files leave. Nothing leaves the machine.
import { execFile } from "node:child_process";
import fs from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import ignore from "ignore";
import { isSourcePath, isSourceText, MOST_BYTES, type SourceFile } from "../core/search/workspace-items.js";
import { ActError } from "../protocol/errors.js";

const MOST_FILES = 5000;

/** Files whose name and text say that they are the user's own and hold no secrets. @throws ActError `data` where the folder is missing or has no source files */
export async function sourceFiles(folder: string, signal?: AbortSignal): Promise<SourceFile[]> {
  const stat = await fs.stat(folder).catch(() => null);
  if (!stat?.isDirectory()) throw new ActError("data", `The workspace ${folder} is not a folder.`);
  const paths = ((await trackedFiles(folder, signal)) ?? (await walk(folder))).filter(isSourcePath).sort().slice(0, MOST_FILES);
  const files: SourceFile[] = [];
  for (const relative of paths) {
    signal?.throwIfAborted();
    const full = path.join(folder, relative);
    // Links may lead out of the workspace.
    const info = await fs.lstat(full).catch(() => null);
    if (!info?.isFile() || info.size > MOST_BYTES) continue;
    const text = (await fs.readFile(full, "utf8")).replaceAll("\r\n", "\n");
    if (isSourceText(text)) files.push({ path: relative, text });
  }
  if (files.length === 0)
    throw new ActError(
      "data",
      `The workspace ${folder} has no source files in a language that is recognised, written by hand and without secrets.`,
    );
  return files;
}

/** What git tracks below the folder and does not ignore; null where it is no git work tree or git is not there. */
async function trackedFiles(folder: string, signal?: AbortSignal): Promise<string[] | null> {
  const git = async (...list: string[]) =>
    (
      await promisify(execFile)("git", ["-C", folder, "ls-files", "-z", ...list], { maxBuffer: 1 << 28, ...(signal ? { signal } : {}) })
    ).stdout
      .split("\0")
      .filter(Boolean);
  try {
    const ignored = new Set(await git("--cached", "--ignored", "--exclude-standard"));
    return (await git("--cached")).filter((file) => !ignored.has(file));
  } catch {
    signal?.throwIfAborted();
    return null;
  }
}

async function walk(root: string): Promise<string[]> {
  const found: string[] = [];
  const visit = async (folder: string, rules: { base: string; list: ReturnType<typeof ignore> }[]): Promise<void> => {
    const text = await fs.readFile(path.join(root, folder, ".gitignore"), "utf8").catch(() => null);
    const active = text === null ? rules : [...rules, { base: folder, list: ignore().add(text) }];
    const entries = await fs.readdir(path.join(root, folder), { withFileTypes: true });
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      if (entry.name.startsWith(".") || found.length >= MOST_FILES * 4) continue;
      const relative = folder === "" ? entry.name : `${folder}/${entry.name}`;
      const shown = entry.isDirectory() ? `${relative}/` : relative;
      if (active.some(({ base, list }) => list.ignores(base === "" ? shown : shown.slice(base.length + 1)))) continue;
      if (entry.isDirectory()) await visit(relative, active);
      else if (entry.isFile()) found.push(relative);
    }
  };
  await visit("", []);
  return found;
}
