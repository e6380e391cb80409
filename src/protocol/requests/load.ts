import * as v from "valibot";
import { BackendChoiceSchema, ContextSizeSchema, count, named, ThreadsSchema, whole } from "./fields.js";

/** `probe`: load every installed backend to see what it holds (takes a second each); otherwise only the CPU is looked into. */
export const HandshakeSchema = v.object({ probe: v.optional(v.boolean()) });

export const LoadSchema = v.object({
  path: named("name a GGUF file"),
  /** Tokens per sequence; default: the model's training context, capped by memory. */
  contextSize: v.optional(ContextSizeSchema),
  /** Sequences that are evaluated side by side, each with a KV stream of its own. */
  sequences: v.optional(whole(0, 64)),
  /** Longest segment (one ubatch), in tokens. */
  ubatch: v.optional(count),
  backend: v.optional(BackendChoiceSchema),
  threads: v.optional(ThreadsSchema),
  gpuLayers: v.optional(whole(0)),
  flashAttention: v.optional(v.picklist(["on", "off", "auto"], "must be on, off or auto")),
  /** KV cache type. */
  cacheType: v.optional(v.picklist(["f32", "f16", "q8_0", "q4_0"], "must be one of f32, f16, q8_0, q4_0")),
});
export type LoadParams = v.InferOutput<typeof LoadSchema>;

export const UnloadSchema = v.object({});
