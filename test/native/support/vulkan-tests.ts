// Vulkan for the tests: the engine, and a device to run it on, which is Mesa's llvmpipe where there is no GPU.
import process from "node:process";
import type { BuildContext } from "../../../scripts/context.js";
import { ensureTools } from "../../../scripts/fetch/packages.js";
import { exec } from "../../../scripts/lib/exec.js";
import { setUpNative } from "../../../scripts/native/native.js";

/** Where the tests read why they must be skipped. */
const REASON = "ACT_NO_VULKAN";

/** Never fails: where Vulkan cannot be had, the tests are skipped and say why. */
export async function setUpVulkanTests(context: BuildContext): Promise<void> {
  try {
    if (process.platform !== "linux") throw new Error(`no software Vulkan device is set up on ${process.platform}`);
    await ensureTools(
      [
        { file: "/usr/share/doc/mesa-vulkan-drivers", debian: "mesa-vulkan-drivers" },
        // vulkaninfo knows no --version to ask by
        { file: "/usr/bin/vulkaninfo", debian: "vulkan-tools" },
      ],
      "a Vulkan device for the tests",
      { required: true },
    );
    const devices = await exec("vulkaninfo", ["--summary"], { failure: "vulkaninfo" });
    if (!/deviceName/.test(devices)) throw new Error("the Vulkan loader lists no device");
    await setUpNative(context, "vulkan");
  } catch (error) {
    process.env[REASON] = (error as Error).message.split("\n").slice(0, 3).join(" ");
    console.error(`Tests on Vulkan are skipped: ${process.env[REASON]}`);
  }
}
