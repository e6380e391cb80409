// Small models of several architectures with random weights: what one graph has and another lacks. 5 layers, so that layers 2 and 3 are eligible.
import { writeFileSync } from "node:fs";
import path from "node:path";
import { normal, random } from "../../../src/core/numbers/random.js";
import { buildGguf, type GgufSpec } from "../../fixtures/gguf.js";
import { temporaryFolder } from "../../fixtures/temporary.js";

const WIDTH = 64;
const HEADS = 4;
const KV_HEADS = 2;
const HEAD = 16;
const INNER = 96;
const LAYERS = 5;
const VOCABULARY = 300;

const F32 = 0;
const Q4_0 = 2;

type Tensors = Record<string, number[]>;
interface Architecture {
  /** Of each layer, without the prefix. */
  layer: Tensors;
  output?: Tensors;
  metadata?: GgufSpec["metadata"];
  /** The logits' weights are the embeddings. */
  tied?: true;
  /** Type of the weights of matrices. */
  type?: number;
}

const Q = HEADS * HEAD;
const KV = KV_HEADS * HEAD;
const norms = { "attn_norm.weight": [WIDTH], "ffn_norm.weight": [WIDTH] };
const attention = {
  "attn_q.weight": [WIDTH, Q],
  "attn_k.weight": [WIDTH, KV],
  "attn_v.weight": [WIDTH, KV],
  "attn_output.weight": [Q, WIDTH],
};
const gated = { "ffn_gate.weight": [WIDTH, INNER], "ffn_up.weight": [WIDTH, INNER], "ffn_down.weight": [INNER, WIDTH] };
const llama: Architecture = { layer: { ...norms, ...attention, ...gated } };
const biases = { "attn_q.bias": [Q], "attn_k.bias": [KV], "attn_v.bias": [KV] };
const f32 = (value: number) => ({ type: "f32", value }) as const;
const u32 = (value: number) => ({ type: "u32", value }) as const;

/** By name in a GGUF file, but for the marks behind it. */
export const ARCHITECTURES: Record<string, Architecture> = {
  llama,
  /** llama.cpp packs these anew for its own products. */
  "llama packed": { ...llama, type: Q4_0 },
  qwen2: { layer: { ...llama.layer, ...biases } },
  qwen3: { layer: { ...llama.layer, "attn_q_norm.weight": [HEAD], "attn_k_norm.weight": [HEAD] } },
  phi3: {
    layer: {
      ...norms,
      "attn_qkv.weight": [WIDTH, Q + 2 * KV],
      "attn_output.weight": [Q, WIDTH],
      "ffn_up.weight": [WIDTH, 2 * INNER],
      "ffn_down.weight": [INNER, WIDTH],
    },
  },
  gemma2: {
    tied: true,
    layer: { ...llama.layer, "post_attention_norm.weight": [WIDTH], "post_ffw_norm.weight": [WIDTH] },
    metadata: [
      ["gemma2.attn_logit_softcapping", f32(2)],
      ["gemma2.final_logit_softcapping", f32(20)],
      ["gemma2.attention.sliding_window", u32(512)],
      ["gemma2.attention.key_length", u32(HEAD)],
      ["gemma2.attention.value_length", u32(HEAD)],
    ],
  },
  starcoder2: {
    layer: {
      ...norms,
      ...attention,
      ...biases,
      "attn_norm.bias": [WIDTH],
      "attn_output.bias": [WIDTH],
      "ffn_norm.bias": [WIDTH],
      "ffn_up.weight": [WIDTH, INNER],
      "ffn_up.bias": [INNER],
      "ffn_down.weight": [INNER, WIDTH],
      "ffn_down.bias": [WIDTH],
    },
    output: { "output_norm.bias": [WIDTH] },
    metadata: [["starcoder2.attention.layer_norm_epsilon", f32(1e-5)]],
  },
};

/** A file with such a model. */
export function randomModel(name: string): string {
  const { layer, output = {}, metadata = [], tied, type = F32 } = ARCHITECTURES[name] as Architecture;
  const architecture = name.split(" ")[0] as string;
  const named: Tensors = {
    "token_embd.weight": [WIDTH, VOCABULARY],
    "output_norm.weight": [WIDTH],
    ...(!tied && { "output.weight": [WIDTH, VOCABULARY] }),
    ...output,
  };
  for (let l = 0; l < LAYERS; l++) for (const [tensor, shape] of Object.entries(layer)) named[`blk.${l}.${tensor}`] = shape;
  const tensors = Object.entries(named).map(([tensor, shape]) => {
    const elements = shape.reduce((a, b) => a * b, 1);
    const own = shape.length > 1 && tensor.startsWith("blk.") ? type : F32;
    return { name: tensor, shape, type: own, bytes: own === Q4_0 ? (elements / 32) * 18 : elements * 4 };
  });
  const bytesOf = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`);
  const tokens = ["<unk>", "<s>", "</s>", ...bytesOf, ...Array.from({ length: VOCABULARY - 259 }, (_, i) => `▁word${i}`)];
  const bytes = buildGguf({
    metadata: [
      ["general.architecture", { type: "string", value: architecture }],
      ["general.name", { type: "string", value: "random" }], // llama.cpp goes by some names
      [`${architecture}.block_count`, u32(LAYERS)],
      [`${architecture}.context_length`, u32(256)],
      [`${architecture}.embedding_length`, u32(WIDTH)],
      [`${architecture}.feed_forward_length`, u32(INNER)],
      [`${architecture}.attention.head_count`, u32(HEADS)],
      [`${architecture}.attention.head_count_kv`, u32(KV_HEADS)],
      [`${architecture}.attention.layer_norm_rms_epsilon`, f32(1e-5)],
      [`${architecture}.rope.dimension_count`, u32(HEAD)],
      ...metadata,
      ["tokenizer.ggml.model", { type: "string", value: "llama" }],
      ["tokenizer.ggml.tokens", { type: "array", of: "string", values: tokens }],
      ["tokenizer.ggml.scores", { type: "array", of: "f32", values: tokens.map((_, i) => -i) }],
      [
        "tokenizer.ggml.token_type",
        { type: "array", of: "i32", values: tokens.map((_, i) => (i === 0 ? 2 : i < 3 ? 3 : i < 259 ? 6 : 1)) },
      ],
      ["tokenizer.ggml.bos_token_id", u32(1)],
      ["tokenizer.ggml.eos_token_id", u32(2)],
    ],
    tensors,
  });
  fill(bytes, tensors);
  const file = path.join(temporaryFolder("random-model"), `${architecture}.gguf`);
  writeFileSync(file, bytes);
  return file;
}

/** Matrices of a size that keeps activations about 1, norms around 1, everything else small. */
function fill(bytes: Uint8Array<ArrayBuffer>, tensors: GgufSpec["tensors"]): void {
  const rng = random(3);
  const view = new DataView(bytes.buffer);
  const padded = (size: number) => Math.ceil(size / 32) * 32;
  let start = bytes.length - tensors.reduce((sum, { bytes: own }) => sum + padded(own), 0);
  for (const { name, shape, type, bytes: own } of tensors) {
    const matrix = shape.length > 1;
    const spread = matrix ? 1.5 / Math.sqrt(shape[0] as number) : 0.2;
    if (type === Q4_0)
      for (let at = start; at < start + own; at += 18) {
        view.setUint16(at, 0x2800, true); // 1/32
        for (let i = 2; i < 18; i++) view.setUint8(at + i, Math.floor(rng() * 256));
      }
    else
      for (let at = start; at < start + own; at += 4)
        view.setFloat32(at, spread * normal(rng) + (name.endsWith("norm.weight") ? 1 : 0), true);
    start += padded(own);
  }
}
