// Compiling a build tree, from nothing or only what changed.
import { existsSync } from "node:fs";
import fs from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import process from "node:process";
import { ActError } from "../../src/protocol/errors.js";
import type { BuildContext } from "../context.js";
import { ensureTools } from "../fetch/packages.js";
import { ensureVulkanSdk } from "../fetch/vulkan.js";
import { exec, isOnPath } from "../lib/exec.js";
import { Progress } from "../lib/progress.js";
import { CMAKE_OPTIONS, type NativeOptions, PLATFORM } from "./key.js";
import type { PatchList } from "./patches.js";
import { prepareTree } from "./tree.js";

export const ADDON = "llama-addon.node";

/** Brings the build tree up to date and compiles it; answers the folder with the result. */
export async function compile(
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
