import type { BackendName } from "../../protocol/engine.js";
import { ActError } from "../../protocol/errors.js";

/** How drivers say that a device is gone: Vulkan's result, by its C++ and C names. (CUDA ends the process, which the client sees.) */
const LOST = /ErrorDeviceLost|VK_ERROR_DEVICE_LOST|device (was )?lost/i;

/** What to tell when a computation failed because its device is gone, else null. */
export function lostDevice(error: unknown, backend: BackendName): ActError | null {
  const said = error instanceof Error ? error.message : String(error);
  if (backend === "cpu" || !LOST.test(said)) return null;
  return new ActError(
    "internal",
    `The ${backend} device was lost while it computed (${said.replace(/\.$/, "")}). Loading the model again starts the engine anew; with the backend set to cpu it does without the device.`,
    { cause: error },
  );
}
