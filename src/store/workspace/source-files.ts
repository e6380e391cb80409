// The user's own source files: those that git tracks; without git those that the ignore files leave. Nothing leaves the machine.
import fs from "node:fs/promises";
import path from "node:path";
import { isSourcePath, isSourceText, MOST_BYTES, type SourceFile } from "../../core/search/workspace-items.js";
import { ActError } from "../../protocol/errors.js";
import { readTextInside, UnreadableFile } from "../text-file.js";
import { git } from "./git.js";
import { IgnoreRules } from "./ignore-rules.js";

const MOST_FILES = 5000;
/** Files and folders that are looked at where git does not say which are tracked. */
const MOST_ENTRIES = 100_000;

/** Files whose name and text say that they are the user's own and hold no secrets. @throws ActError `data` where the folder is missing or has no source files */
export async function sourceFiles(folder: string, signal?: AbortSignal): Promise<SourceFile[]> {
  const stat = await fs.stat(folder).catch(() => null);
  if (!stat?.isDirectory()) throw new ActError("data", `The workspace ${folder} is not a folder.`);
  const rules = new IgnoreRules(folder);
  const paths = ((await trackedFiles(folder, signal)) ?? (await walk(folder, rules, signal))).filter(isSourcePath).sort();
  const files: SourceFile[] = [];
  for (const relative of paths.slice(0, MOST_FILES)) {
    signal?.throwIfAborted();
    // What is tracked may be ignored all the same.
    if (await rules.ignores(relative)) continue;
    const text = await readTextInside(folder, relative, { most: MOST_BYTES }).catch((error: unknown) => {
      if (error instanceof UnreadableFile) return null; // no file, a link that leads out, or too long: no source file
      throw error;
    });
    if (text === null) continue;
    const unified = text.replaceAll("\r\n", "\n");
    if (isSourceText(unified)) files.push({ path: relative, text: unified });
  }
  if (files.length === 0)
    throw new ActError(
      "data",
      `The workspace ${folder} has no source files in a language that is recognised, written by hand and without secrets.`,
    );
  return files;
}

/** What git tracks below the folder; null where it is no git work tree or git is not there. */
async function trackedFiles(folder: string, signal?: AbortSignal): Promise<string[] | null> {
  try {
    return (await git(folder, ["ls-files", "-z", "--cached"], signal)).split("\0").filter(Boolean);
  } catch {
    signal?.throwIfAborted();
    return null;
  }
}

async function walk(root: string, rules: IgnoreRules, signal?: AbortSignal): Promise<string[]> {
  const found: string[] = [];
  let seen = 0;
  const visit = async (folder: string): Promise<void> => {
    const entries = await fs.readdir(path.join(root, folder), { withFileTypes: true });
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      signal?.throwIfAborted();
      if (entry.name.startsWith(".") || found.length >= MOST_FILES * 4 || ++seen > MOST_ENTRIES) continue;
      const relative = folder === "" ? entry.name : `${folder}/${entry.name}`;
      if (await rules.ignores(entry.isDirectory() ? `${relative}/` : relative)) continue;
      if (entry.isDirectory()) await visit(relative);
      else if (entry.isFile()) found.push(relative);
    }
  };
  await visit("");
  return found;
}
