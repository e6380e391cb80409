import type { LoadParams } from "../../protocol/engine.js";
import { ActError } from "../../protocol/errors.js";

/** What a model and its contexts need, before anything is loaded. */

export interface Shape {
  layers: number;
  heads: number;
  kvHeads: number;
  embedding: number;
  vocabulary: number;
  /** Elements of one head's key and value; default embedding / heads. */
  keyLength?: number;
  valueLength?: number;
}

/** Bytes per element; the quantised types store blocks of 32 with their scale. */
const CACHE_BYTES: Record<NonNullable<LoadParams["cacheType"]>, number> = { f32: 4, f16: 2, q8_0: 34 / 32, q4_0: 18 / 32 };

/** Bytes of the KV cache of `tokens` cells, all layers. */
export function cacheBytes(shape: Shape, tokens: number, type: NonNullable<LoadParams["cacheType"]>): number {
  const width = shape.embedding / shape.heads;
  return shape.layers * shape.kvHeads * ((shape.keyLength ?? width) + (shape.valueLength ?? width)) * CACHE_BYTES[type] * tokens;
}

/** Bytes of the compute buffers of one context: activations of one ubatch, and logits for the outputs llama.cpp reserves. */
export function computeBytes(shape: Shape, ubatch: number): number {
  return ubatch * 4 * (shape.vocabulary + 24 * shape.embedding);
}

/**
 * Context tokens per sequence: what was asked for, else the model's training context, halved until it fits (not below 2048).
 * @throws ActError `model-memory` naming the numbers when even that does not fit.
 */
export function fitContext(
  asked: number | undefined,
  trainContext: number,
  need: (contextSize: number) => number,
  available: number,
): number {
  let size = asked ?? trainContext;
  while (asked === undefined && size > 2048 && need(size) > available) size = Math.max(2048, size >> 1);
  const bytes = need(size);
  if (bytes > available) {
    throw new ActError(
      "model-memory",
      `The model and a context of ${size} tokens need about ${gigabytes(bytes)}, but only ${gigabytes(available)} are free. Choose a smaller model or context, or close other programs.`,
    );
  }
  return size;
}

function gigabytes(bytes: number): string {
  return `${(bytes / 2 ** 30).toFixed(2)} GiB`;
}
