// Runs GGML_OP_ACT alone on one device, through the addon (native-patches/src/node-llama-cpp/addon/AddonActOp.cpp).
import { createRequire } from "node:module";
import { getLlama } from "node-llama-cpp";
import type { OpBindings } from "../../src/engine/native/op.js";

export * from "../../src/engine/native/op.js";

interface Bindings extends OpBindings {
  actPatchSet(): string;
}

export async function openBindings(gpu: false | "vulkan" | "cuda" | "metal" = false): Promise<Bindings> {
  // The build with sanitizers is an addon of its own, without llama.cpp (sanitized.test.ts).
  if (process.env.ACT_OP_ADDON) return createRequire(import.meta.url)(process.env.ACT_OP_ADDON) as Bindings;
  const llama = await getLlama({ build: "never", gpu, skipDownload: true });
  return (llama as unknown as { _bindings: Bindings })._bindings;
}
