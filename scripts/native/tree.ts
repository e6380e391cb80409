// The sources that a native build is made from: a private copy of node-llama-cpp with its llama.cpp, patched or not.
import { existsSync } from "node:fs";
import fs from "node:fs/promises";
import path from "node:path";
import { withLock } from "../../src/store/lock.mjs";
import type { BuildContext } from "../context.js";
import { exec } from "../lib/exec.js";
import { Progress } from "../lib/progress.js";
import { nodeLlamaCppVersion } from "./key.js";
import { applyPatchList, gitApply, type PatchList, readPatchList, type Tree, type TreePlace } from "./patches.js";

/**
 * Sources to build from, up to date: the patched flavours share one tree (each has its own output folder in it), the reference must stay unpatched.
 * The caller holds the build lock.
 */
export async function prepareTree(
  context: BuildContext,
  name: "patched" | "reference",
  list: PatchList | null,
): Promise<{ work: string; tree: string }> {
  const work = path.join(context.scratch, "native", name);
  const tree = path.join(work, "node-llama-cpp");
  await ensureTree(context, tree);
  await applyPatchList(list, treePlaces(context, tree), path.join(work, "stage"), path.join(work, "touched.json"));
  return { work, tree };
}

/** Only one build at a time in a clone: they share trees, and each uses all cores. */
export function withBuildLock<T>(context: BuildContext, build: () => Promise<T>): Promise<T> {
  return withLock(path.join(context.scratch, "native", "build.lock"), build, {
    onWait: (holder) => console.error(`Another set-up (process ${holder?.pid}) is building the native engine; waiting…`),
  });
}

/** The folder of the patched llama.cpp, unpacked and up to date. */
export async function patchedSources(context: BuildContext): Promise<string> {
  const work = path.join(context.scratch, "native", "patched");
  await withLock(path.join(context.scratch, "native", "build.lock"), async () => {
    await ensureTree(context, path.join(work, "node-llama-cpp"));
    const list = await readPatchList(path.join(context.root, "native-patches"));
    await applyPatchList(
      list,
      treePlaces(context, path.join(work, "node-llama-cpp")),
      path.join(work, "stage"),
      path.join(work, "touched.json"),
    );
  });
  return path.join(work, "node-llama-cpp", "llama", "llama.cpp");
}

/** A private copy of the package, with llama.cpp unpacked from its bundle and node-llama-cpp's own patches in it. */
export async function ensureTree(context: BuildContext, tree: string): Promise<void> {
  const stamp = path.join(path.dirname(tree), "tree.json");
  const wanted = JSON.stringify({ nodeLlamaCpp: await nodeLlamaCppVersion(context) });
  if ((await fs.readFile(stamp, "utf8").catch(() => "")) === wanted) return;
  const progress = new Progress("Unpacking node-llama-cpp's llama.cpp");
  await fs.rm(path.dirname(tree), { recursive: true, force: true });
  const llama = path.join(context.nodeLlamaCpp, "llama");
  const leaveOut = new Set(["gitRelease.bundle", "llama.cpp", "localBuilds"].map((name) => path.join(llama, name)));
  await fs.cp(context.nodeLlamaCpp, tree, { recursive: true, filter: (source) => !leaveOut.has(source) });
  const sources = path.join(tree, "llama", "llama.cpp");
  await exec("git", ["clone", "--quiet", "-c", "core.autocrlf=false", path.join(llama, "gitRelease.bundle"), sources]);
  const theirs = path.join(llama, "patches");
  for (const patch of (await fs.readdir(theirs)).filter((file) => /\.(diff|patch)$/.test(file)).sort())
    await gitApply(path.join(theirs, patch), `node-llama-cpp/llama/patches/${patch}`, sources);
  const identity = [
    "-c",
    "user.name=act",
    "-c",
    "user.email=act@localhost",
    "-c",
    "commit.gpgsign=false",
    "-c",
    "core.hooksPath=/dev/null",
  ];
  await exec("git", [...identity, "commit", "--quiet", "--all", "--allow-empty", "-m", "node-llama-cpp's own patches"], { cwd: sources });
  await fs.writeFile(stamp, wanted);
  progress.done();
}

function treePlaces(context: BuildContext, tree: string): Record<Tree, TreePlace> {
  const sources = path.join(tree, "llama", "llama.cpp");
  const packaged = path.join(context.nodeLlamaCpp, "llama");
  return {
    "llama.cpp": {
      folder: sources,
      upstream: async (file) => {
        const listed = await exec("git", ["ls-tree", "--name-only", "HEAD", "--", file], { cwd: sources });
        return listed.trim() === "" ? null : Buffer.from(await exec("git", ["show", `HEAD:${file}`], { cwd: sources }), "utf8");
      },
    },
    "node-llama-cpp": {
      folder: path.join(tree, "llama"),
      upstream: async (file) => (existsSync(path.join(packaged, file)) ? fs.readFile(path.join(packaged, file)) : null),
    },
  };
}
