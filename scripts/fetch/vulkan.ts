// What building for Vulkan needs.
import process from "node:process";
import { exec } from "../lib/exec.js";
import { ensureTools, type Tool } from "./packages.js";

const SDK: Tool[] = [
  { command: "glslc", debian: "glslc" },
  { file: "/usr/include/vulkan/vulkan.h", debian: "libvulkan-dev" },
  { file: "/usr/include/spirv/unified1/spirv.h", debian: "spirv-headers" },
];

/** Compiler and headers; LunarG's SDK, which VULKAN_SDK names, has its own. @throws ActError with the line to run where they are missing */
export async function ensureVulkanSdk(): Promise<void> {
  if (process.platform !== "linux" || process.env.VULKAN_SDK) return;
  await ensureTools(SDK, "building for Vulkan", { required: true });
}

/** First line of what glslc says about itself, or null where it is missing. */
export async function glslcVersion(): Promise<string | null> {
  return (await exec("glslc", ["--version"]).catch(() => null))?.split("\n")[0] ?? null;
}
