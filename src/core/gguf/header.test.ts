import assert from "node:assert/strict";
import { test } from "node:test";
import { buildGguf, type GgufSpec, tinyLlama } from "../../../test/fixtures/gguf.js";
import { ActError } from "../../protocol/errors.js";
import { integer, type Random, random } from "../numbers/random.js";
import { type GgufHeader, readGguf } from "./header.js";
import type { ByteSource } from "./reader.js";

/** The bytes as a file, with the largest piece that was asked for at once. */
function source(bytes: Uint8Array): ByteSource & { largest: number } {
  return {
    size: bytes.length,
    largest: 0,
    read(offset, target) {
      this.largest = Math.max(this.largest, target.length);
      const piece = bytes.subarray(offset, offset + target.length);
      target.set(piece);
      return piece.length;
    },
  };
}

const read = (bytes: Uint8Array): GgufHeader => readGguf(source(bytes));

function refused(change: (spec: GgufSpec) => unknown, message: RegExp): void {
  const spec = tinyLlama();
  change(spec);
  assert.throws(
    () => read(buildGguf(spec)),
    (error: ActError) => {
      assert.equal(error.code, "model-file");
      assert.match(error.message, message);
      return true;
    },
  );
}

test("the header of a small model", () => {
  const { metadata, ...header } = read(buildGguf(tinyLlama()));
  assert.deepEqual(header, {
    version: 3,
    architecture: "llama",
    name: "Tiny",
    layers: 2,
    heads: 4,
    kvHeads: 2,
    embedding: 64,
    keyLength: 16,
    valueLength: 16,
    trainContext: 128,
    vocabulary: 8,
    chatTemplate: "{{ messages }}",
    infill: true,
    tensors: 3,
    tensorNames: ["token_embd.weight", "output_norm.weight", "blk.0.attn_q.weight"],
    wholeNumberTensors: [],
    alignment: 32,
    parameters: 64 * 8 + 64 + 64 * 64,
    tensorBytes: 544 + 256 + 8192,
    splits: 1,
  });
  assert.equal(metadata.get("general.size"), 5n);
  assert.equal(metadata.get("tokenizer.ggml.add_bos_token"), true);
});

test("infill needs all three tokens", () => {
  const spec = tinyLlama();
  const tokens = spec.metadata.find(([key]) => key === "tokenizer.ggml.tokens")?.[1];
  assert.ok(tokens?.type === "array");
  tokens.values[4] = "e";
  assert.equal(read(buildGguf(spec)).infill, false);
  spec.metadata.push(["tokenizer.ggml.fim_mid_token_id", { type: "u32", value: 4 }]);
  assert.equal(read(buildGguf(spec)).infill, true);
});

test("long arrays are counted, not kept", () => {
  const spec = tinyLlama();
  spec.metadata.push(["x.long", { type: "array", of: "u32", values: Array.from({ length: 5000 }, (_, i) => i) }]);
  spec.metadata.push(["x.texts", { type: "array", of: "string", values: Array.from({ length: 5000 }, (_, i) => `t${i}`) }]);
  const { metadata } = read(buildGguf(spec));
  assert.deepEqual(metadata.get("x.long"), { length: 5000, values: null });
  assert.deepEqual(metadata.get("x.texts"), { length: 5000, values: null });
});

test("what is refused, and in which words", () => {
  const set = (key: string, value: GgufSpec["metadata"][0][1]) => (spec: GgufSpec) => {
    spec.metadata = spec.metadata.filter(([k]) => k !== key);
    spec.metadata.push([key, value]);
  };
  const tensor = (change: Partial<GgufSpec["tensors"][0]>) => (spec: GgufSpec) => void Object.assign(spec.tensors[2] ?? {}, change);
  refused((spec) => Object.assign(spec, { version: 1 }), /version 1/);
  refused((spec) => Object.assign(spec, { version: 4 }), /version 4/);
  refused((spec) => Object.assign(spec, { version: 0x03000000 }), /other byte order/);
  refused((spec) => void spec.metadata.push(["general.name", { type: "u32", value: 1 }]), /"general.name" appears twice/);
  refused((spec) => void spec.metadata.push(["", { type: "u32", value: 1 }]), /is empty/);
  refused(set("general.architecture", { type: "u32", value: 1 }), /architecture/);
  refused(set("general.alignment", { type: "u32", value: 48 }), /alignment is 48/);
  refused(set("general.alignment", { type: "u32", value: 0 }), /alignment is 0/);
  refused(set("llama.block_count", { type: "string", value: "many" }), /"llama.block_count" is not a count/);
  refused(set("tokenizer.ggml.scores", { type: "array", of: "f32", values: [1] }), /8 tokens, but "tokenizer.ggml.scores" has 1/);
  refused(tensor({ name: "output_norm.weight" }), /"output_norm.weight" appears twice/);
  refused(tensor({ name: "x".repeat(64) }), /name of tensor 2 is 64/i);
  refused(tensor({ type: 4 }), /unknown type 4/);
  refused(tensor({ type: 99 }), /unknown type 99/);
  refused(tensor({ type: 8, shape: [33] }), /rows of 33 elements/);
  refused(tensor({ shape: [1, 1, 1, 1, 1] }), /5 dimensions/);
  refused(tensor({ shape: [64, 65] }), /beyond the end of the file/);
  refused(tensor({ shape: [2 ** 40, 2 ** 40] }), /more elements than can be counted/);
});

test("a file that is no GGUF, and one cut anywhere", () => {
  assert.throws(() => read(new TextEncoder().encode("PK\x03\x04 and so on")), /zip/);
  assert.throws(() => read(new Uint8Array(2)), /cut off/);
  const whole = buildGguf(tinyLlama());
  for (let length = 0; length < whole.length; length += 7)
    assert.throws(
      () => read(whole.slice(0, length)),
      (error: ActError) => error.code === "model-file",
    );
});

const NASTY = [
  0n,
  1n,
  0x7fn,
  0x80n,
  0xffn,
  0x7fffffffn,
  0x80000000n,
  0xffffffffn,
  0x7fffffffffffffffn,
  0x8000000000000000n,
  0xffffffffffffffffn,
  1n << 40n,
];

function mutate(original: Uint8Array, rng: Random): Uint8Array {
  const below = (n: number) => integer(rng, n);
  let bytes = original.slice();
  for (let times = 1 + below(4); times > 0; times--) {
    const at = below(bytes.length);
    switch (below(6)) {
      case 0:
        bytes[at] = (bytes[at] ?? 0) ^ (1 << below(8));
        break;
      case 1:
        bytes[at] = below(256);
        break;
      case 2:
        if (at + 8 <= bytes.length) new DataView(bytes.buffer, at, 8).setBigUint64(0, NASTY[below(NASTY.length)] ?? 0n, true);
        break;
      case 3:
        bytes = bytes.slice(0, Math.max(1, at));
        break;
      case 4: {
        const grown = new Uint8Array(bytes.length + 1 + below(64));
        grown.set(bytes.subarray(0, at));
        grown.set(bytes.subarray(at), at + grown.length - bytes.length);
        bytes = grown;
        break;
      }
      default: {
        const to = below(bytes.length);
        bytes.copyWithin(to, at, at + below(64));
      }
    }
  }
  return bytes;
}

test("20,000 mutations: a header or a sentence, never a crash, a hang or a large allocation", () => {
  const rng = random(1);
  const original = buildGguf(tinyLlama());
  const header = original.subarray(0, 1400);
  let accepted = 0;
  let slowest = 0;
  for (let i = 0; i < 20_000; i++) {
    // Half of them hit the header only: most of the file is tensor data that nobody reads.
    const bytes = i % 2 ? mutate(original, rng) : Buffer.concat([mutate(header, rng), original.subarray(header.length)]);
    const file = source(bytes);
    const started = performance.now();
    try {
      readGguf(file);
      accepted++;
    } catch (error) {
      assert.ok(error instanceof ActError && error.code === "model-file", `mutation ${i}: ${String(error)}`);
      assert.ok(error.message.length < 400, `mutation ${i}: a message of ${error.message.length} characters`);
    }
    slowest = Math.max(slowest, performance.now() - started);
    assert.ok(file.largest <= Math.max(256 * 1024, bytes.length), `mutation ${i}: ${file.largest} bytes at once`);
  }
  assert.ok(accepted > 100 && accepted < 15_000, `${accepted} accepted: the mutations are too weak or too strong`);
  assert.ok(slowest < 1000, `the slowest took ${slowest} ms`);
});
