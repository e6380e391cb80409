// A float32 copy of a quantised GGUF model: golden numbers need weights without quantisation noise (test/oracle/README.md).
import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import fs from "node:fs/promises";
import path from "node:path";
import { TENSOR_TYPES } from "../../../src/core/gguf/types.js";
import { ActError } from "../../../src/protocol/errors.js";
import { cacheFolder } from "../../../src/store/cache-folder.js";
import { fileSha256 } from "../../../src/store/file-hash.js";

/** The float32 copy of a model in the cache, made when it is not there yet (about 5 s and 540 MB for the default model). */
export async function float32Model(file: string): Promise<string> {
  const copy = path.join(cacheFolder(), "models", "f32", `${(await fileSha256(file)).slice(0, 16)}.gguf`);
  if (!existsSync(copy)) await dequantiseGguf(file, copy);
  return copy;
}

/** @throws ActError `model-file` for a tensor type that is not known here */
export async function dequantiseGguf(source: string, target: string): Promise<void> {
  const data = await fs.readFile(source);
  const { head, tensors, dataStart } = readLayout(data);
  await fs.mkdir(path.dirname(target), { recursive: true });
  const draft = `${target}.${randomUUID()}.tmp`;
  const out = await fs.open(draft, "wx");
  try {
    let offset = 0;
    const infos = tensors.map((tensor) => {
      const info = tensorInfo(tensor, offset);
      offset += pad(tensor.elements * 4);
      return info;
    });
    const header = Buffer.concat([head, ...infos]);
    await out.write(Buffer.concat([header, Buffer.alloc(pad(header.length) - header.length)]));
    for (const tensor of tensors) {
      const values = dequantise(data.subarray(dataStart + tensor.offset), tensor.type, tensor.elements);
      const bytes = Buffer.from(values.buffer, values.byteOffset, values.byteLength);
      await out.write(bytes);
      if (pad(bytes.length) > bytes.length) await out.write(Buffer.alloc(pad(bytes.length) - bytes.length));
    }
    await out.close();
    await fs.rename(draft, target);
  } catch (error) {
    await out.close().catch(() => {});
    await fs.rm(draft, { force: true });
    throw error;
  }
}

const ALIGNMENT = 32;
const pad = (bytes: number) => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;

interface Tensor {
  name: Buffer;
  dimensions: bigint[];
  elements: number;
  type: number;
  offset: number;
}

/** `head`: everything before the tensor list, with the file type set to "all float32". */
function readLayout(data: Buffer): { head: Buffer; tensors: Tensor[]; dataStart: number } {
  let at = 4;
  const take = (bytes: number) => {
    at += bytes;
    return data.subarray(at - bytes, at);
  };
  const u32 = () => take(4).readUInt32LE();
  const u64 = () => take(8).readBigUInt64LE();
  const text = () => take(Number(u64()));
  const SIZES = [1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8];
  const skip = (type: number) => {
    if (type === 8) text();
    else if (type === 9) {
      const inner = u32();
      const length = Number(u64());
      for (let i = 0; i < length; i++) skip(inner);
    } else take(SIZES[type] ?? 0);
  };
  u32(); // version
  const tensorCount = Number(u64());
  const keyCount = Number(u64());
  let alignment = ALIGNMENT;
  let fileType = -1;
  for (let i = 0; i < keyCount; i++) {
    const key = text().toString("utf8");
    const type = u32();
    if (key === "general.alignment") alignment = data.readUInt32LE(at);
    if (key === "general.file_type") fileType = at;
    skip(type);
  }
  if (alignment !== ALIGNMENT)
    throw new ActError("model-file", `The model is aligned to ${alignment} bytes; only ${ALIGNMENT} is handled here.`);
  const head = Buffer.from(data.subarray(0, at));
  if (fileType >= 0) head.writeUInt32LE(0, fileType);
  const tensors = Array.from({ length: tensorCount }, () => {
    const name = text();
    const dimensions = Array.from({ length: u32() }, u64);
    return { name, dimensions, elements: Number(dimensions.reduce((a, b) => a * b, 1n)), type: u32(), offset: Number(u64()) };
  });
  return { head, tensors, dataStart: pad(at) };
}

function tensorInfo({ name, dimensions }: Tensor, offset: number): Buffer {
  const info = Buffer.alloc(8 + name.length + 4 + 8 * dimensions.length + 4 + 8);
  let at = info.writeBigUInt64LE(BigInt(name.length), 0);
  at += name.copy(info, at);
  at = info.writeUInt32LE(dimensions.length, at);
  for (const dimension of dimensions) at = info.writeBigUInt64LE(dimension, at);
  at = info.writeUInt32LE(0, at); // float32
  info.writeBigUInt64LE(BigInt(offset), at);
  return info;
}

/** Values of `elements` weights stored as ggml type `type` at the start of `data`. */
export function dequantise(data: Uint8Array, type: number, elements: number): Float32Array {
  const [name = `type ${type}`, blockSize = 1, blockBytes = 1] = TENSOR_TYPES.get(type) ?? [];
  const decode = DECODERS[name];
  if (!decode) throw new ActError("model-file", `Tensors of type ${name} cannot be turned into float32 here.`);
  const out = new Float32Array(elements);
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  for (let block = 0; block * blockSize < elements; block++) decode(view, block * blockBytes, out, block * blockSize);
  return out;
}

/** Decodes the block at byte `at` into out[to…]. Layouts as in ggml-common.h; arithmetic in float32 like ggml's. */
type Decoder = (view: DataView, at: number, out: Float32Array, to: number) => void;

const HALF = 16;
const f32 = Math.fround;

const DECODERS: Record<string, Decoder> = {
  f32: (view, at, out, to) => {
    out[to] = view.getFloat32(at, true);
  },
  f16: (view, at, out, to) => {
    out[to] = half(view.getUint16(at, true));
  },
  bf16: (view, at, out, to) => {
    out[to] = bits(view.getUint16(at, true) << 16);
  },
  q4_0: (view, at, out, to) => {
    const d = half(view.getUint16(at, true));
    for (let i = 0; i < HALF; i++) {
      const byte = view.getUint8(at + 2 + i);
      out[to + i] = ((byte & 15) - 8) * d;
      out[to + i + HALF] = ((byte >> 4) - 8) * d;
    }
  },
  q4_1: (view, at, out, to) => {
    const d = half(view.getUint16(at, true));
    const m = half(view.getUint16(at + 2, true));
    for (let i = 0; i < HALF; i++) {
      const byte = view.getUint8(at + 4 + i);
      out[to + i] = f32((byte & 15) * d) + m;
      out[to + i + HALF] = f32((byte >> 4) * d) + m;
    }
  },
  q5_0: (view, at, out, to) => {
    const d = half(view.getUint16(at, true));
    const high = view.getUint32(at + 2, true);
    for (let i = 0; i < HALF; i++) {
      const byte = view.getUint8(at + 6 + i);
      out[to + i] = (((byte & 15) | (((high >>> i) & 1) << 4)) - 16) * d;
      out[to + i + HALF] = (((byte >> 4) | (((high >>> (i + HALF)) & 1) << 4)) - 16) * d;
    }
  },
  q5_1: (view, at, out, to) => {
    const d = half(view.getUint16(at, true));
    const m = half(view.getUint16(at + 2, true));
    const high = view.getUint32(at + 4, true);
    for (let i = 0; i < HALF; i++) {
      const byte = view.getUint8(at + 8 + i);
      out[to + i] = f32(((byte & 15) | (((high >>> i) & 1) << 4)) * d) + m;
      out[to + i + HALF] = f32(((byte >> 4) | (((high >>> (i + HALF)) & 1) << 4)) * d) + m;
    }
  },
  q8_0: (view, at, out, to) => {
    const d = half(view.getUint16(at, true));
    for (let i = 0; i < 2 * HALF; i++) out[to + i] = view.getInt8(at + 2 + i) * d;
  },
  q6_K: (view, at, out, to) => {
    const d = half(view.getUint16(at + 208, true));
    for (let part = 0; part < 2; part++) {
      const low = at + part * 64;
      const high = at + 128 + part * 32;
      const scales = at + 192 + part * 8;
      for (let i = 0; i < 32; i++) {
        const bits = view.getUint8(high + i);
        const first = view.getUint8(low + i);
        const second = view.getUint8(low + i + 32);
        const quants = [
          (first & 15) | ((bits & 3) << 4),
          (second & 15) | (((bits >> 2) & 3) << 4),
          (first >> 4) | (((bits >> 4) & 3) << 4),
          (second >> 4) | ((bits >> 6) << 4),
        ];
        quants.forEach((q, quarter) => {
          const scale = view.getInt8(scales + (i >> 4) + 2 * quarter);
          out[to + part * 128 + quarter * 32 + i] = f32(d * scale) * (q - 32);
        });
      }
    }
  },
};

const scratch = new DataView(new ArrayBuffer(4));
function bits(value: number): number {
  scratch.setInt32(0, value);
  return scratch.getFloat32(0);
}

function half(value: number): number {
  const sign = value & 0x8000 ? -1 : 1;
  const exponent = (value >> 10) & 31;
  const fraction = value & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
