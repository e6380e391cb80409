// Builds small GGUF files for tests.

type Value =
  | { type: "u32" | "i32" | "f32" | "u64" | "bool" | "string"; value: number | bigint | string | boolean }
  | { type: "array"; of: "u32" | "i32" | "f32" | "string"; values: (number | string)[] };

export interface GgufSpec {
  version?: number;
  metadata: [key: string, value: Value][];
  tensors: { name: string; shape: number[]; type: number; bytes: number }[];
  alignment?: number;
}

const TYPE_IDS = { u32: 4, i32: 5, f32: 6, bool: 7, string: 8, array: 9, u64: 10 } as const;

/** A valid file, unless the specification says otherwise. */
export function buildGguf({ version = 3, metadata, tensors, alignment = 32 }: GgufSpec): Uint8Array<ArrayBuffer> {
  const parts: Uint8Array[] = [];
  const put = (bytes: number, write: (view: DataView) => void) => {
    const view = new DataView(new ArrayBuffer(bytes));
    write(view);
    parts.push(new Uint8Array(view.buffer));
  };
  const u32 = (n: number) => put(4, (view) => view.setUint32(0, n, true));
  const u64 = (n: number | bigint) => put(8, (view) => view.setBigUint64(0, BigInt(n), true));
  const text = (s: string) => {
    const bytes = new TextEncoder().encode(s);
    u64(bytes.length);
    parts.push(bytes);
  };
  const scalar = (type: keyof typeof TYPE_IDS, value: unknown) => {
    if (type === "string") text(String(value));
    else if (type === "u64") u64(value as bigint);
    else if (type === "f32") put(4, (view) => view.setFloat32(0, Number(value), true));
    else if (type === "bool") put(1, (view) => view.setUint8(0, value ? 1 : 0));
    else if (type === "i32") put(4, (view) => view.setInt32(0, Number(value), true));
    else u32(Number(value));
  };
  parts.push(new TextEncoder().encode("GGUF"));
  u32(version);
  u64(tensors.length);
  u64(metadata.length);
  for (const [key, value] of metadata) {
    text(key);
    u32(TYPE_IDS[value.type]);
    if (value.type === "array") {
      u32(TYPE_IDS[value.of]);
      u64(value.values.length);
      for (const one of value.values) scalar(value.of, one);
    } else scalar(value.type, value.value);
  }
  let offset = 0;
  for (const tensor of tensors) {
    text(tensor.name);
    u32(tensor.shape.length);
    for (const size of tensor.shape) u64(size);
    u32(tensor.type);
    u64(offset);
    offset += Math.ceil(tensor.bytes / alignment) * alignment;
  }
  const header = parts.reduce((sum, part) => sum + part.length, 0);
  const file = new Uint8Array(Math.ceil(header / alignment) * alignment + offset);
  let at = 0;
  for (const part of parts) {
    file.set(part, at);
    at += part.length;
  }
  return file;
}

/** A llama model in miniature: 2 layers, 4 heads, 2 KV heads, 8 tokens. */
export function tinyLlama(): GgufSpec {
  const u32 = (value: number): Value => ({ type: "u32", value });
  return {
    metadata: [
      ["general.architecture", { type: "string", value: "llama" }],
      ["general.name", { type: "string", value: "Tiny" }],
      ["llama.block_count", u32(2)],
      ["llama.context_length", u32(128)],
      ["llama.embedding_length", u32(64)],
      ["llama.attention.head_count", u32(4)],
      ["llama.attention.head_count_kv", { type: "array", of: "u32", values: [2, 2] }],
      ["llama.rope.freq_base", { type: "f32", value: 10000 }],
      ["general.size", { type: "u64", value: 5n }],
      ["tokenizer.ggml.add_bos_token", { type: "bool", value: true }],
      [
        "tokenizer.ggml.tokens",
        { type: "array", of: "string", values: ["a", "b", "<fim_prefix>", "<fim_suffix>", "<fim_middle>", "f", "g", "é"] },
      ],
      ["tokenizer.ggml.scores", { type: "array", of: "f32", values: [0, 1, 2, 3, 4, 5, 6, 7] }],
      ["tokenizer.ggml.token_type", { type: "array", of: "i32", values: [1, 1, 3, 3, 3, 1, 1, 1] }],
      ["tokenizer.chat_template", { type: "string", value: "{{ messages }}" }],
    ],
    tensors: [
      { name: "token_embd.weight", shape: [64, 8], type: 8, bytes: 544 },
      { name: "output_norm.weight", shape: [64], type: 0, bytes: 256 },
      { name: "blk.0.attn_q.weight", shape: [64, 64], type: 1, bytes: 8192 },
    ],
  };
}
