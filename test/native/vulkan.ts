// The Vulkan engine in tests: on a machine without a GPU it runs on Mesa's llvmpipe, which ggml leaves out unless it is named.
import process from "node:process";
import { openBindings } from "./op.js";

/** Why tests on Vulkan are skipped, or false; test/native/support/vulkan-tests.ts sets it. */
export const noVulkan: string | false = process.env.ACT_NO_VULKAN ?? false;

export const VULKAN_DEVICE = "Vulkan0";

/** The bindings of the Vulkan engine, its first device visible. @throws where the engine lists no such device */
export async function openVulkan(): ReturnType<typeof openBindings> {
  process.env.GGML_VK_VISIBLE_DEVICES ??= "0";
  const bindings = await openBindings("vulkan");
  const devices = bindings.actDevices();
  if (!devices.some(({ name, act }) => name === VULKAN_DEVICE && act))
    throw new Error(
      `No Vulkan device takes the op: ${devices.map(({ name, act }) => `${name} ${act ? "takes it" : "does not"}`).join(", ")}.`,
    );
  return bindings;
}
