import assert from "node:assert/strict";
import { test } from "node:test";
import { cacheBytes, fitContext } from "./memory.js";

const shape = { layers: 30, heads: 9, kvHeads: 3, embedding: 576, vocabulary: 49152 };

test("cache bytes are what llama.cpp allocates", () => {
  // llama.cpp's own figures for this model: 2048 cells in 3 sequences, f16: 135 MiB.
  assert.equal(cacheBytes(shape, 2048 * 3, "f16"), 135 * 2 ** 20);
  assert.equal(cacheBytes(shape, 1024, "f32"), 2 * cacheBytes(shape, 1024, "f16"));
  assert.equal(cacheBytes(shape, 1024, "q8_0") / cacheBytes(shape, 1024, "f16"), 34 / 64);
  assert.equal(cacheBytes({ ...shape, keyLength: 128, valueLength: 128 }, 1024, "f16"), 2 * cacheBytes(shape, 1024, "f16"));
});

test("the context shrinks to fit unless a size was asked for; what cannot fit names its numbers", () => {
  const need = (size: number) => size * 1000;
  assert.equal(fitContext(undefined, 8192, need, 1e9), 8192);
  assert.equal(fitContext(undefined, 8192, need, 4.2e6), 4096);
  assert.equal(fitContext(undefined, 131072, need, 2.1e6), 2048);
  assert.equal(fitContext(500, 8192, need, 1e6), 500);
  const tooBig = { code: "model-memory", message: /a context of \d+ tokens need about .* GiB, but only .* GiB are free/ };
  assert.throws(() => fitContext(undefined, 8192, need, 2e6), tooBig);
  assert.throws(() => fitContext(4096, 8192, need, 4e6), tooBig);
});
