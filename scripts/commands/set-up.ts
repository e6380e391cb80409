// Everything that a fresh clone needs before the engine can run.
import fs from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import type { BuildContext } from "../context.js";
import { ensureDefaultModel } from "../fetch/model.js";
import { bundleProduct } from "../lib/bundle.js";
import { exec, isOnPath } from "../lib/exec.js";
import type { Gpu } from "../native/key.js";
import { setUpNative } from "../native/native.js";

/** Engine, default model and bundles; what is there already is not done again. @returns the default model's path */
export async function setUp(context: BuildContext): Promise<string> {
  await setUpNative(context);
  for (const gpu of await usableGpus()) await tryGpu(context, gpu);
  const model = await ensureDefaultModel(context.cache);
  await bundleProduct(context);
  await fs.writeFile(path.join(context.root, "dist", "set-up.json"), JSON.stringify({ at: new Date().toISOString() }));
  return model;
}

/** GPU backends whose device and SDK are both here: nobody builds one that cannot run. */
async function usableGpus(): Promise<Exclude<Gpu, false>[]> {
  const gpus: Exclude<Gpu, false>[] = [];
  if (process.platform === "darwin" && process.arch === "arm64") gpus.push("metal");
  if ((await isOnPath("nvidia-smi", ["-L"])) && (await isOnPath("nvcc"))) gpus.push("cuda");
  else if ((await isOnPath("glslc")) && (await hasVulkanGpu())) gpus.push("vulkan");
  return gpus;
}

/** A Vulkan device that is not a software one. */
async function hasVulkanGpu(): Promise<boolean> {
  const summary = await exec("vulkaninfo", ["--summary"]).catch(() => "");
  return /deviceType\s*=\s*PHYSICAL_DEVICE_TYPE_(DISCRETE|INTEGRATED|VIRTUAL)_GPU/.test(summary);
}

/** The CPU engine works without it, so a GPU build that fails is told and left out. */
async function tryGpu(context: BuildContext, gpu: Exclude<Gpu, false>): Promise<void> {
  try {
    await setUpNative(context, gpu);
  } catch (error) {
    console.error(`The ${gpu} engine could not be built; the CPU engine is used.\n${(error as Error).message}`);
  }
}
