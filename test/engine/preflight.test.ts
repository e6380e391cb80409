// Mutations of a real model's header: long vocabularies, real metadata.
import assert from "node:assert/strict";
import fs from "node:fs";
import { test } from "node:test";
import { readGguf } from "../../src/core/gguf/header.js";
import type { ByteSource } from "../../src/core/gguf/reader.js";
import { integer, random } from "../../src/core/numbers/random.js";
import { ActError } from "../../src/protocol/errors.js";
import { DEFAULT_MODEL, modelPath } from "../../src/store/models.js";

const HEADER_BYTES = 2_000_000;
const ROUNDS = 300;

test(`${ROUNDS} damaged headers of the default model: read or refused, quickly`, () => {
  const file = fs.openSync(modelPath(DEFAULT_MODEL), "r");
  const { size } = fs.fstatSync(file);
  const original = Buffer.alloc(HEADER_BYTES);
  fs.readSync(file, original, 0, HEADER_BYTES, 0);
  const bytes = Buffer.from(original);
  const source: ByteSource = {
    size,
    // Behind the header lies tensor data: whatever is read there by mistake is nonsense, zeros serve as well.
    read: (offset, target) => {
      target.fill(0);
      if (offset < HEADER_BYTES) bytes.copy(target, 0, offset, offset + target.length);
      return Math.min(target.length, size - offset);
    },
  };
  assert.equal(readGguf(source).layers, 30);

  const rng = random(7);
  let refused = 0;
  for (let round = 0; round < ROUNDS; round++) {
    // Most of the header is vocabulary; the keys in front and the tensor list behind are hit as often.
    const [from, length] = [
      [0, 4096],
      [0, HEADER_BYTES - 8],
      [1_700_000, 90_000],
    ][round % 3] as [number, number];
    const at = from + integer(rng, length);
    const before = bytes.subarray(at, at + 8).toString("latin1");
    if (round % 2) bytes.writeBigUInt64LE([0n, 1n << 31n, 1n << 40n, (1n << 64n) - 1n][integer(rng, 4)] as bigint, at);
    else bytes[at] = integer(rng, 256);
    const started = performance.now();
    try {
      readGguf(source);
    } catch (error) {
      assert.ok(error instanceof ActError && error.code === "model-file", `byte ${at}: ${String(error)}`);
      refused++;
    }
    assert.ok(performance.now() - started < 3000, `byte ${at} took ${performance.now() - started} ms`);
    bytes.write(before, at, "latin1");
  }
  assert.ok(bytes.equals(original), "each round undid its damage");
  assert.ok(refused > ROUNDS / 10, `${refused} of ${ROUNDS} refused: the mutations are too weak`);
});
