// The native engine: node-llama-cpp's bundled llama.cpp and addon, patched by native-patches, built by node-llama-cpp's own source
// build, kept in the user cache under a key of everything it depends on, and installed where getLlama({build: "never"}) finds it.
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import fs from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import { makeFolder } from "../../src/store/folder.mjs";
import type { BuildContext } from "../context.js";
import { copyInto } from "../lib/files.js";
import { ADDON, compile } from "./compile.js";
import { type Gpu, keyParts, type NativeOptions, PLATFORM } from "./key.js";
import { readPatchList } from "./patches.js";
import { ensureTree, withBuildLock } from "./tree.js";

export interface NativeBuild {
  /** Folder with llama-addon.node and its libraries. */
  folder: string;
  /** Name of its folder in localBuilds. */
  name: string;
  /** null: unpatched. */
  patchSet: string | null;
  key: string;
}

/** What a build is called and where the user cache holds it, or would. */
async function describe(context: BuildContext, options: NativeOptions) {
  const list = options.flavour === "reference" ? null : await readPatchList(path.join(context.root, "native-patches"));
  const parts = await keyParts(context, options, list);
  const key = createHash("sha256").update(JSON.stringify(parts)).digest("hex").slice(0, 16);
  const name = [PLATFORM, process.arch, ...(options.gpu ? [options.gpu] : [])].join("-");
  const folder = path.join(context.cache, "native", `${name}-${options.flavour}-${key}`);
  const build: NativeBuild = { folder, name, patchSet: list?.hash ?? null, key };
  return { list, parts, build };
}

/** Whether the user cache holds the build, so that `ensureNative` takes no time. */
export async function isBuilt(context: BuildContext, options: NativeOptions): Promise<boolean> {
  const { build } = await describe(context, options);
  return existsSync(path.join(build.folder, ADDON));
}

/** Finds or builds the binaries. Nothing is built that the user cache already holds. */
export async function ensureNative(context: BuildContext, options: NativeOptions): Promise<NativeBuild> {
  const { list, parts, build } = await describe(context, options);
  const { folder } = build;
  if (existsSync(path.join(folder, ADDON))) {
    const now = new Date();
    await fs.utimes(folder, now, now).catch(() => undefined); // in use: not to be pruned; a cache that cannot be written is good enough
    return build;
  }
  await makeFolder(path.dirname(folder)); // a cache that cannot be written is told before the build, not after
  await withBuildLock(context, async () => {
    if (existsSync(path.join(folder, ADDON))) return;
    const result = await compile(context, options, list, parts);
    await copyInto(result, folder, { "key.json": JSON.stringify(parts, null, 2) });
  });
  await prune(path.join(context.cache, "native"));
  return build;
}

/** Removes builds that nobody has asked for in a month: each edit of native-patches leaves one behind. */
async function prune(folder: string): Promise<void> {
  const old = Date.now() - 30 * 24 * 3600 * 1000;
  for (const name of await fs.readdir(folder)) {
    const one = path.join(folder, name);
    if ((await fs.stat(one)).mtimeMs < old) await fs.rm(one, { recursive: true, force: true });
  }
}

/** Puts the binaries where `getLlama({build: "never"})` of the package at `nodeLlamaCpp` finds them. */
export async function installNative(build: NativeBuild, nodeLlamaCpp: string): Promise<void> {
  const place = path.join(nodeLlamaCpp, "llama", "localBuilds", build.name);
  const stamp = path.join(place, "act-build.json");
  const content = JSON.stringify({ key: build.key, patchSet: build.patchSet });
  if (existsSync(path.join(place, "Release", ADDON)) && (await fs.readFile(stamp, "utf8").catch(() => "")) === content) return;
  const draft = `${place}.${process.pid}.tmp`;
  await fs.rm(draft, { recursive: true, force: true });
  await fs.cp(build.folder, path.join(draft, "Release"), { recursive: true });
  await fs.writeFile(path.join(draft, "buildDone.status"), "");
  await fs.writeFile(path.join(draft, "act-build.json"), content);
  await fs.rm(place, { recursive: true, force: true });
  await fs.rename(draft, place);
}

/** What `npm start` and the tests need: the engine for this machine, in place. */
export async function setUpNative(context: BuildContext, gpu: Gpu = false): Promise<NativeBuild> {
  const build = await ensureNative(context, { gpu, flavour: "native" });
  await installNative(build, context.nodeLlamaCpp);
  return build;
}

/**
 * A second node-llama-cpp that holds the unpatched reference build, for the test that ACT off changes no bit.
 * @returns its folder; import its dist/index.js
 */
export async function setUpReference(context: BuildContext): Promise<string> {
  const build = await ensureNative(context, { gpu: false, flavour: "reference" });
  const tree = path.join(context.scratch, "native", "reference", "node-llama-cpp");
  await withBuildLock(context, () => ensureTree(context, tree));
  await installNative(build, tree);
  return tree;
}
