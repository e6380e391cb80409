import assert from "node:assert/strict";
import { test } from "node:test";
import { dequantise } from "./dequantise.js";

/** Bytes of a block from its fields, little-endian. */
const block = (...fields: { half?: number; u32?: number; bytes?: number[] }[]) => {
  const out: number[] = [];
  for (const { half, u32, bytes } of fields) {
    if (half !== undefined) out.push(half & 255, half >> 8);
    if (u32 !== undefined) out.push(u32 & 255, (u32 >>> 8) & 255, (u32 >>> 16) & 255, u32 >>> 24);
    if (bytes) out.push(...bytes);
  }
  return Uint8Array.from(out);
};
const ONE = 0x3c00;
const HALF = 0x3800;
const MINUS_TWO = 0xc000;
const nibbles = Array.from({ length: 16 }, (_, i) => i | ((15 - i) << 4));
const low = Array.from({ length: 16 }, (_, i) => i);
const high = low.toReversed();

test("f16: normal, tiny, negative zero, infinite", () => {
  const values = dequantise(
    block({ half: ONE }, { half: MINUS_TWO }, { half: 0x0001 }, { half: 0x03ff }, { half: 0x8000 }, { half: 0x7c00 }, { half: 0x7bff }),
    1,
    7,
  );
  assert.deepEqual([...values], [1, -2, 2 ** -24, 1023 * 2 ** -24, -0, Number.POSITIVE_INFINITY, 65504]);
});

test("bf16 is the upper half of a float32", () => {
  assert.deepEqual([...dequantise(block({ half: 0x3f80 }, { half: 0xc049 }), 30, 2)], [1, -3.140625]);
});

test("four-bit blocks: the low nibbles come first", () => {
  assert.deepEqual(
    [...dequantise(block({ half: HALF }, { bytes: nibbles }), 2, 32)],
    [...low, ...high].map((q) => (q - 8) * 0.5),
  );
  assert.deepEqual(
    [...dequantise(block({ half: HALF }, { half: MINUS_TWO }, { bytes: nibbles }), 3, 32)],
    [...low, ...high].map((q) => q * 0.5 - 2),
  );
});

test("five-bit blocks: the fifth bits stand apart", () => {
  const fifth = 0x0001_8000; // of values 15 and 16
  const quants = [...low, ...high].map((q, i) => (i === 15 || i === 16 ? q + 16 : q));
  assert.deepEqual(
    [...dequantise(block({ half: ONE }, { u32: fifth }, { bytes: nibbles }), 6, 32)],
    quants.map((q) => q - 16),
  );
  assert.deepEqual(
    [...dequantise(block({ half: ONE }, { half: ONE }, { u32: fifth }, { bytes: nibbles }), 7, 32)],
    quants.map((q) => q + 1),
  );
});

test("eight-bit blocks are signed", () => {
  const bytes = Array.from({ length: 32 }, (_, i) => (i * 9) & 255);
  assert.deepEqual(
    [...dequantise(block({ half: HALF }, { bytes }), 8, 32)],
    bytes.map((b) => (b > 127 ? b - 256 : b) * 0.5),
  );
});

test("six-bit super-blocks: quarters of 32, a scale for every 16", () => {
  const ql = new Array(128).fill(0);
  const qh = new Array(64).fill(0);
  const scales = Array.from({ length: 16 }, (_, i) => i + 1);
  ql[0] = 0x21; // value 0: low bits 1, value 64: low bits 2
  qh[0] = 0b11_10_01_10; // values 0, 32, 64, 96 of the first half
  const values = dequantise(block({ bytes: ql }, { bytes: qh }, { bytes: scales }, { half: ONE }), 14, 256);
  assert.equal(values[0], 1 * ((1 | (2 << 4)) - 32));
  assert.equal(values[32], 3 * ((1 << 4) - 32));
  assert.equal(values[64], 5 * ((2 | (2 << 4)) - 32));
  assert.equal(values[96], 7 * ((3 << 4) - 32));
  assert.equal(values[16], 2 * -32);
  assert.equal(values[255], 16 * -32);
});

test("an unknown type is refused by name", () => {
  assert.throws(() => dequantise(new Uint8Array(100), 39, 32), { code: "model-file", message: /mxfp4/ });
});
