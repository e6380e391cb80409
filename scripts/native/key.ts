// What a native build depends on: its flavour, options, compiler and CPU. The user cache is keyed by it.
import { createHash } from "node:crypto";
import fs from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import process from "node:process";
import type { BuildContext } from "../context.js";
import { glslcVersion } from "../fetch/vulkan.js";
import { exec } from "../lib/exec.js";
import type { PatchList } from "./patches.js";

export type Gpu = false | "vulkan" | "cuda" | "metal";
/** `native`: for this CPU. `portable`: ggml's CPU variants, for packages. `reference`: native without our patches. */
export type Flavour = "native" | "portable" | "reference";

export interface NativeOptions {
  gpu: Gpu;
  flavour: Flavour;
}

/** CMake options beyond those that node-llama-cpp's source build sets by itself. */
export const CMAKE_OPTIONS: Record<Flavour, Record<string, string>> = {
  native: {},
  reference: {},
  // As in node-llama-cpp's own packages: one library per CPU generation, loaded by what the CPU has; no OpenMP runtime to depend on.
  portable: { GGML_NATIVE: "OFF", GGML_CPU_ALL_VARIANTS: "ON", GGML_BACKEND_DL: "ON", GGML_OPENMP: "OFF" },
};

export const PLATFORM =
  { linux: "linux", darwin: "mac", win32: "win" }[process.platform as "linux" | "darwin" | "win32"] ?? process.platform;

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

export async function nodeLlamaCppVersion(context: BuildContext): Promise<string> {
  return JSON.parse(await fs.readFile(path.join(context.nodeLlamaCpp, "package.json"), "utf8")).version;
}
