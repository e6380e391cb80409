// Applies native-patches to node-llama-cpp's sources. Everything is prepared in a staging folder and checked there; the build tree
// then receives only the files whose content changed, so that an incremental build stays incremental.
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import fs from "node:fs/promises";
import path from "node:path";
import { ActError } from "../../src/protocol/errors.js";
import { exec } from "../lib/exec.js";

export const TREES = ["llama.cpp", "node-llama-cpp"] as const;
export type Tree = (typeof TREES)[number];

export interface PatchList {
  /** native-patches */
  folder: string;
  copies: { from: string; tree: Tree; to: string }[];
  patches: { file: string; tree: Tree }[];
  /** First 16 hex digits of the sha256 over the list, the patches and the sources. */
  hash: string;
}

/** Where a tree is built, and where a file's upstream content comes from (null: upstream has no such file). */
export interface TreePlace {
  folder: string;
  upstream: (file: string) => Promise<Buffer | null>;
}

/** Reads native-patches/list and finds our own files. Errors: a line that is no patch, a patch that is missing or that no line names. */
export async function readPatchList(folder: string): Promise<PatchList> {
  const lines = (await fs.readFile(path.join(folder, "list"), "utf8"))
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"));
  const patches = lines.map((file) => {
    const tree = TREES.find((name) => file.startsWith(`${name}/`));
    const wrong = (why: string) => new ActError("internal", `native-patches/list, line "${file}": ${why}.`);
    if (!tree || !file.endsWith(".patch") || file.includes(".."))
      throw wrong(`not of the form TREE/FILE.patch with TREE ${TREES.join(" or ")}`);
    if (!existsSync(path.join(folder, file))) throw wrong("there is no such file");
    return { file, tree };
  });
  const copies: PatchList["copies"] = [];
  for (const tree of TREES) {
    const forgotten = (await filesUnder(folder, tree)).find((file) => file.endsWith(".patch") && !lines.includes(file));
    if (forgotten)
      throw new ActError("internal", `native-patches/${forgotten} is not named in native-patches/list, so it would be left out.`);
    const prefix = `src/${tree}/`;
    for (const from of await filesUnder(folder, `src/${tree}`)) copies.push({ from, tree, to: from.slice(prefix.length) });
  }

  const hash = createHash("sha256");
  // Line endings that git may have changed on Windows do not make another patch set.
  const add = (name: string, text: string) => hash.update(`${name}\0${text.replaceAll("\r\n", "\n")}\0`);
  add("list", lines.join("\n"));
  for (const file of [...lines, ...copies.map((copy) => copy.from)].sort()) add(file, await fs.readFile(path.join(folder, file), "utf8"));
  return { folder, copies, patches, hash: hash.digest("hex").slice(0, 16) };
}

/**
 * Brings both trees to upstream + our patches. `list` null takes our changes out again.
 * Remembers in `stateFile` which files it touched, so that a file that is no longer patched goes back to upstream.
 */
export async function applyPatchList(
  list: PatchList | null,
  places: Record<Tree, TreePlace>,
  stage: string,
  stateFile: string,
): Promise<{ written: number }> {
  const touchedBefore = await readTouched(stateFile);
  await fs.rm(stage, { recursive: true, force: true });
  const touched: Record<Tree, Set<string>> = { "llama.cpp": new Set(), "node-llama-cpp": new Set() };

  for (const { file, tree } of list?.patches ?? []) {
    const patch = path.join(list?.folder ?? "", file);
    const stageTree = path.join(stage, tree);
    for (const target of await filesOfPatch(patch)) {
      if (!touched[tree].has(target)) await stageUpstream(places[tree], stageTree, target);
      touched[tree].add(target);
    }
    await gitApply(patch, file, stageTree);
  }
  for (const { from, tree, to } of list?.copies ?? []) {
    if (touched[tree].has(to) || (await places[tree].upstream(to)))
      throw new ActError("internal", `native-patches/${from} would overwrite ${tree}/${to}, which upstream or a patch already has.`);
    const target = path.join(stage, tree, to);
    await fs.mkdir(path.dirname(target), { recursive: true });
    await fs.copyFile(path.join(list?.folder ?? "", from), target);
    touched[tree].add(to);
  }
  if (list) {
    const header = path.join(stage, "node-llama-cpp", PATCH_SET_HEADER);
    await fs.mkdir(path.dirname(header), { recursive: true });
    await fs.writeFile(
      header,
      `#pragma once\n// Written by the build: the hash over native-patches.\n#define ACT_PATCH_SET "${list.hash}"\n`,
    );
    touched["node-llama-cpp"].add(PATCH_SET_HEADER);
  }

  // The union is written down before the trees change: an interrupted run leaves nothing behind that the next one does not know.
  const union = Object.fromEntries(TREES.map((tree) => [tree, [...new Set([...touchedBefore[tree], ...touched[tree]])].sort()]));
  await fs.mkdir(path.dirname(stateFile), { recursive: true });
  await fs.writeFile(stateFile, JSON.stringify(union));
  let written = 0;
  for (const tree of TREES)
    for (const file of union[tree] ?? []) {
      const wanted = touched[tree].has(file) ? await readOrNull(path.join(stage, tree, file)) : await places[tree].upstream(file);
      if (await putFile(path.join(places[tree].folder, file), wanted)) written++;
    }
  await fs.writeFile(stateFile, JSON.stringify(Object.fromEntries(TREES.map((tree) => [tree, [...touched[tree]]]))));
  await fs.rm(stage, { recursive: true, force: true });
  return { written };
}

/** Beside the addon's sources; defines ACT_PATCH_SET. */
export const PATCH_SET_HEADER = "addon/act-patch-set.h";

/** Applies one patch strictly: checked first, no fuzz, no part skipped. Also used for node-llama-cpp's own patches. */
export async function gitApply(patch: string, name: string, folder: string): Promise<void> {
  // Without a ceiling git would find the project's own repository above and skip every path silently.
  const env = { GIT_CEILING_DIRECTORIES: path.dirname(folder), GIT_DIR: undefined, GIT_WORK_TREE: undefined };
  await fs.mkdir(folder, { recursive: true });
  const failure = `The patch ${name} does not fit node-llama-cpp's bundled sources (native-patches/README.md says how to bump them): git apply`;
  await exec("git", ["apply", "--check", "--whitespace=nowarn", patch], { cwd: folder, env, failure });
  await exec("git", ["apply", "--whitespace=nowarn", patch], { cwd: folder, env, failure });
  await exec("git", ["apply", "--check", "--reverse", "--whitespace=nowarn", patch], {
    cwd: folder,
    env,
    failure: `The patch ${name} was applied but is not in the sources afterwards: git apply --reverse --check`,
  });
}

/** Paths that a patch changes, adds or removes. */
async function filesOfPatch(patch: string): Promise<string[]> {
  const text = await fs.readFile(patch, "utf8");
  const files = [...text.matchAll(/^(?:---|\+\+\+) (?:[ab]\/(\S+)|\/dev\/null)/gm)].flatMap((m) => m[1] ?? []);
  if (files.length === 0) throw new ActError("internal", `The patch ${patch} changes no file.`);
  return [...new Set(files)];
}

async function stageUpstream(place: TreePlace, stageTree: string, file: string): Promise<void> {
  const content = await place.upstream(file);
  if (!content) return; // the patch adds it
  const target = path.join(stageTree, file);
  await fs.mkdir(path.dirname(target), { recursive: true });
  await fs.writeFile(target, content);
}

/** @returns whether the file changed */
async function putFile(file: string, wanted: Buffer | null): Promise<boolean> {
  const present = await readOrNull(file);
  if (wanted === null ? present === null : present?.equals(wanted)) return false;
  if (wanted === null) await fs.rm(file);
  else {
    await fs.mkdir(path.dirname(file), { recursive: true });
    await fs.writeFile(file, wanted);
  }
  return true;
}

async function readTouched(stateFile: string): Promise<Record<Tree, string[]>> {
  const text = await readOrNull(stateFile);
  return text ? JSON.parse(text.toString("utf8")) : { "llama.cpp": [], "node-llama-cpp": [] };
}

async function readOrNull(file: string): Promise<Buffer | null> {
  try {
    return await fs.readFile(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
}

async function filesUnder(folder: string, sub: string): Promise<string[]> {
  if (!existsSync(path.join(folder, sub))) return [];
  const entries = await fs.readdir(path.join(folder, sub), { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile() && !entry.name.startsWith("."))
    .map((entry) =>
      path
        .relative(folder, path.join(entry.parentPath ?? entry.path, entry.name))
        .split(path.sep)
        .join("/"),
    );
}
