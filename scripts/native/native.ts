// The native engine: node-llama-cpp's bundled llama.cpp and addon, patched by native-patches, built by node-llama-cpp's own source
// build, kept in the user cache under a key of everything it depends on, and installed where getLlama({build: "never"}) finds it.
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import fs from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import process from "node:process";
import { ActError } from "../../src/protocol/errors.js";
import { makeFolder } from "../../src/store/folder.mjs";
import { withLock } from "../../src/store/lock.mjs";
import type { BuildContext } from "../context.js";
import { ensureTools } from "../fetch/packages.js";
import { ensureVulkanSdk, glslcVersion } from "../fetch/vulkan.js";
import { exec, isOnPath } from "../lib/exec.js";
import { Progress } from "../lib/progress.js";
import { applyPatchList, gitApply, type PatchList, readPatchList, type Tree, type TreePlace } from "./patches.js";

export type Gpu = false | "vulkan" | "cuda" | "metal";
/** `native`: for this CPU. `portable`: ggml's CPU variants, for packages. `reference`: native without our patches. */
export type Flavour = "native" | "portable" | "reference";

export interface NativeOptions {
  gpu: Gpu;
  flavour: Flavour;
}

export interface NativeBuild {
  /** Folder with llama-addon.node and its libraries. */
  folder: string;
  /** Name of its folder in localBuilds. */
  name: string;
  /** null: unpatched. */
  patchSet: string | null;
  key: string;
}

/** CMake options beyond those that node-llama-cpp's source build sets by itself. */
const CMAKE_OPTIONS: Record<Flavour, Record<string, string>> = {
  native: {},
  reference: {},
  // As in node-llama-cpp's own packages: one library per CPU generation, loaded by what the CPU has; no OpenMP runtime to depend on.
  portable: { GGML_NATIVE: "OFF", GGML_CPU_ALL_VARIANTS: "ON", GGML_BACKEND_DL: "ON", GGML_OPENMP: "OFF" },
};

const PLATFORM = { linux: "linux", darwin: "mac", win32: "win" }[process.platform as "linux" | "darwin" | "win32"] ?? process.platform;

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

const ADDON = "llama-addon.node";

export async function keyParts(context: BuildContext, options: NativeOptions, list: PatchList | null): Promise<Record<string, unknown>> {
  const compiler = process.env.CXX ?? (process.platform === "win32" ? "cl" : "c++");
  return {
    nodeLlamaCpp: await nodeLlamaCppVersion(context),
    patchSet: list?.hash ?? null,
    platform: PLATFORM,
    arch: process.arch,
    gpu: options.gpu,
    options: CMAKE_OPTIONS[options.flavour],
    compiler: (await exec(compiler, ["--version"]).catch(() => "")).split("\n")[0],
    cpu: options.flavour === "portable" ? null : await cpuIdentity(compiler),
    // which shaders exist depends on what glslc can compile
    ...(options.gpu === "vulkan" && { glslc: await glslcVersion() }),
    ...(options.gpu === "cuda" && { nvcc: /release.*/.exec(await exec("nvcc", ["--version"]).catch(() => ""))?.[0] ?? null }),
    flags: [process.env.CFLAGS, process.env.CXXFLAGS].map((flags) => flags ?? ""),
  };
}

/** What -march=native means here: a binary built for one CPU may stop with an illegal instruction on another. */
async function cpuIdentity(compiler: string): Promise<string> {
  const target = process.arch === "x64" ? await exec(compiler, ["-march=native", "-Q", "--help=target"]).catch(() => "") : "";
  const cpuInfo = await fs.readFile("/proc/cpuinfo", "utf8").catch(() => "");
  const features = /^(?:flags|Features)\s*:.*$/m.exec(cpuInfo)?.[0];
  return createHash("sha256")
    .update(target || features || os.cpus()[0]?.model || "")
    .digest("hex")
    .slice(0, 16);
}

async function nodeLlamaCppVersion(context: BuildContext): Promise<string> {
  return JSON.parse(await fs.readFile(path.join(context.nodeLlamaCpp, "package.json"), "utf8")).version;
}

/** Brings the build tree up to date and compiles it; answers the folder with the result. */
async function compile(
  context: BuildContext,
  options: NativeOptions,
  list: PatchList | null,
  parts: Record<string, unknown>,
): Promise<string> {
  await ensureTools(
    [
      { command: "git", debian: "git" },
      { command: "cmake", debian: "cmake" },
      { command: process.env.CXX ?? "c++", debian: "g++" },
    ],
    "building the native engine",
    {
      required: process.platform === "linux",
    },
  );
  if (process.platform === "linux")
    await ensureTools(
      [
        { command: "ninja", debian: "ninja-build" },
        { command: "ccache", debian: "ccache" },
      ],
      "faster builds",
      { required: false },
    );
  if (options.gpu === "vulkan") await ensureVulkanSdk();
  const { work, tree } = await prepareTree(context, options.flavour === "reference" ? "reference" : "patched", list);

  const title = `Building the native engine (${[options.flavour, options.gpu || "cpu"].join(", ")}; about 5 minutes on 2 cores, once)`;
  const progress = new Progress(title);
  const onLine = (line: string) => {
    const step = /^\[\s*(\d+)\/(\d+)\]\s*(?:Building \w+ object )?(.*)/.exec(line) ?? /^\[\s*(\d+)(%)\]\s*(.*)/.exec(line);
    if (step) progress.update(path.basename(step[3] ?? ""), Number(step[1]) / (step[2] === "%" ? 100 : Number(step[2])));
  };
  const env = { ...(await compilerCache(work)), ...cmakeOptionEnvironment(CMAKE_OPTIONS[options.flavour]) };
  const builds = path.join(tree, "llama", "localBuilds");
  // What the objects depend on besides the sources, whose changes the build system sees by itself.
  const settings = JSON.stringify({ ...parts, patchSet: undefined });
  const pending = path.join(work, "pending.json");
  const known = (await outputFolder(builds, settings)) ?? (await interruptedOutput(builds, pending, settings));
  try {
    if (known) {
      // Only what changed or is missing is compiled. CMake looks for new files only when it configures.
      await exec("cmake", [known], { cwd: tree, env, failure: "CMake's configuration of the native build" });
      await exec("cmake", ["--build", known, "--config", "Release", "--parallel", String(os.cpus().length)], {
        cwd: tree,
        env,
        onLine,
        failure: "The native build",
      });
      await finishOutput(context, known, options);
      await fs.writeFile(path.join(known, SETTINGS_FILE), settings);
    } else {
      const gpu = options.gpu === false ? "false" : options.gpu;
      const cli = path.join(tree, "dist", "cli", "cli.js");
      await fs.writeFile(pending, settings);
      await exec(process.execPath, [cli, "source", "build", "--gpu", gpu, "--noUsageExample"], {
        cwd: tree,
        env,
        onLine,
        failure: "The native build",
      });
      await fs.writeFile(path.join(await newestOutput(builds), SETTINGS_FILE), settings);
    }
    await fs.rm(pending, { force: true });
  } catch (error) {
    progress.done("failed");
    throw error;
  }
  progress.done();
  const folder = await outputFolder(builds, settings);
  if (!folder || !existsSync(path.join(folder, "Release", ADDON)))
    throw new ActError("internal", `node-llama-cpp's source build ended without an error but left no ${ADDON} under ${builds}.`);
  return path.join(folder, "Release");
}

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
async function ensureTree(context: BuildContext, tree: string): Promise<void> {
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

/** ccache, where it is installed: its base folder is the work folder, so that every clone and flavour share their entries. */
export async function compilerCache(work: string): Promise<NodeJS.ProcessEnv> {
  if (!(await isOnPath("ccache"))) return {};
  return {
    CMAKE_C_COMPILER_LAUNCHER: "ccache",
    CMAKE_CXX_COMPILER_LAUNCHER: "ccache",
    CMAKE_CUDA_COMPILER_LAUNCHER: "ccache",
    CCACHE_BASEDIR: work,
    CCACHE_NOHASHDIR: "1",
    CCACHE_SLOPPINESS: "include_file_mtime,include_file_ctime",
  };
}

/** node-llama-cpp's way to pass CMake options. */
function cmakeOptionEnvironment(options: Record<string, string>): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(options).map(([name, value]) => [`NODE_LLAMA_CPP_CMAKE_OPTION_${name}`, value]));
}

const SETTINGS_FILE = "act-settings.json";

/** The output folder that an earlier, finished build with these settings left in the tree. */
async function outputFolder(builds: string, settings: string): Promise<string | null> {
  for (const folder of await fs.readdir(builds).catch(() => [] as string[])) {
    const file = path.join(builds, folder, SETTINGS_FILE);
    if ((await fs.readFile(file, "utf8").catch(() => "")) === settings) return path.join(builds, folder);
  }
  return null;
}

/** The output folder of a build with these settings that was interrupted after it was configured: it is gone on with. */
async function interruptedOutput(builds: string, pending: string, settings: string): Promise<string | null> {
  if ((await fs.readFile(pending, "utf8").catch(() => "")) !== settings) return null;
  const open = (await fs.readdir(builds).catch(() => [] as string[]))
    .map((name) => path.join(builds, name))
    .filter((folder) => !existsSync(path.join(folder, SETTINGS_FILE)))
    .filter((folder) => ["build.ninja", "Makefile"].some((file) => existsSync(path.join(folder, file))));
  return open.length === 1 ? (open[0] ?? null) : null;
}

/** What node-llama-cpp's source build does after compiling: everything in one folder, with the record that its loader reads. */
async function finishOutput(context: BuildContext, folder: string, options: NativeOptions): Promise<void> {
  const release = path.join(folder, "Release");
  for (const bin of [path.join(folder, "bin"), path.join(folder, "llama.cpp", "bin")])
    if (existsSync(bin)) await fs.cp(bin, release, { recursive: true });
  await fs.rm(path.join(release, "vulkan-shaders-gen"), { force: true });
  const info = JSON.parse(await fs.readFile(path.join(context.nodeLlamaCpp, "llama", "llama.cpp.info.json"), "utf8"));
  const buildOptions = {
    customCmakeOptions: CMAKE_OPTIONS[options.flavour],
    progressLogs: true,
    platform: PLATFORM,
    platformInfo: { name: os.type(), version: os.release() },
    arch: process.arch,
    gpu: options.gpu,
    llamaCpp: { repo: info.llamaCppGithubRepo, release: info.tag },
  };
  await fs.writeFile(path.join(release, "_nlcBuildMetadata.json"), JSON.stringify({ buildOptions }));
  await fs.writeFile(path.join(folder, "buildDone.status"), "");
}

async function newestOutput(builds: string): Promise<string> {
  const done = await Promise.all(
    (await fs.readdir(builds)).map(async (name) => {
      const folder = path.join(builds, name);
      const stat = await fs.stat(path.join(folder, "buildDone.status")).catch(() => null);
      return { folder, time: stat?.mtimeMs ?? 0 };
    }),
  );
  const newest = done.sort((a, b) => b.time - a.time)[0];
  if (!newest?.time)
    throw new ActError("internal", `node-llama-cpp's source build ended without an error but left nothing under ${builds}.`);
  return newest.folder;
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
