import assert from "node:assert/strict";
import { test } from "node:test";
import { buildGguf, type GgufSpec, tinyLlama } from "../../../test/fixtures/gguf.js";
import { readGguf } from "./header.js";
import { assertLanguageModel } from "./language-model.js";

type Metadata = Record<string, GgufSpec["metadata"][number][1] | null>;

/** The tiny model with some keys and tensors changed; a key that is null is left out. */
function check(changes: Metadata, tensors?: GgufSpec["tensors"], alignment?: number): void {
  const spec = tinyLlama();
  const metadata = new Map(spec.metadata);
  for (const [key, value] of Object.entries(changes))
    if (value) metadata.set(key, value);
    else metadata.delete(key);
  const bytes = buildGguf({ metadata: [...metadata], tensors: tensors ?? spec.tensors, ...(alignment ? { alignment } : {}) });
  assertLanguageModel(
    readGguf({
      size: bytes.length,
      read: (offset, target) => {
        const part = bytes.subarray(offset, offset + target.length);
        target.set(part);
        return part.length;
      },
    }),
  );
}
const u32 = (value: number) => ({ type: "u32", value }) as const;
const text = (value: string) => ({ type: "string", value }) as const;
const weight = (name: string, type: number, bytes: number) => ({ name, shape: [64], type, bytes });

test("a language model passes, with and without what is optional", () => {
  check({});
  check({ "tokenizer.chat_template": null, "llama.attention.head_count_kv": u32(2), "general.type": text("model") });
  check({
    "llama.rope.scaling.type": text("yarn"),
    "tokenizer.ggml.bos_token_id": u32(7),
    "tokenizer.ggml.padding_token_id": u32(0xffffffff),
  });
  check({}, [weight("blk.0.ffn_gate_tid2eid.weight", 26, 256)]);
});

const cases: [what: string, message: RegExp, () => void][] = [
  ["an adapter", /LoRA adapter/, () => check({ "general.type": text("adapter") })],
  ["an adapter that only says what it adapts", /LoRA adapter/, () => check({ "adapter.type": text("lora") })],
  ["an adapter that is known by its tensors", /LoRA adapter/, () => check({}, [weight("blk.0.attn_q.weight.lora_a", 0, 256)])],
  ["a projector", /projector/, () => check({ "general.type": text("mmproj") })],
  ["an older projector", /projector/, () => check({ "general.architecture": text("clip") })],
  ["an importance matrix", /importance matrix/, () => check({ "general.type": text("imatrix") })],
  ["a vocabulary", /vocabulary without weights/, () => check({}, [])],
  ["an encoder by its architecture", /embedding model/, () => check({ "general.architecture": text("bert") })],
  ["an embedding model on a language model", /embedding model/, () => check({ "llama.pooling_type": u32(3) })],
  ["a reranker", /reranking/, () => check({ "llama.pooling_type": u32(4) })],
  ["a model that looks ahead", /look ahead/, () => check({ "llama.attention.causal": { type: "bool", value: false } })],
  ["a diffusion model", /diffusion/, () => check({ "general.architecture": text("llada") })],
  ["a kind nobody knows", /kind "poem"/, () => check({ "general.type": text("poem") })],
  ["too many layers", /names 1000 layers/, () => check({ "llama.block_count": u32(1000), "llama.attention.head_count_kv": u32(2) })],
  ["no width", /how wide/, () => check({ "llama.embedding_length": null })],
  ["a context of one token", /context of 1 tokens/, () => check({ "llama.context_length": u32(1) })],
  ["more key/value heads than heads", /does not go together/, () => check({ "llama.attention.head_count": u32(1) })],
  [
    "heads that do not divide",
    /do not divide/,
    () => check({ "llama.attention.head_count": u32(7), "llama.attention.head_count_kv": u32(2) }),
  ],
  [
    "a list of heads of another length",
    /has 2 layers, but llama\.attention\.head_count_kv has 3/,
    () => check({ "llama.attention.head_count_kv": { type: "array", of: "u32", values: [1, 2, 2] } }),
  ],
  ["an unknown rope scaling", /rope scaling "spiral"/, () => check({ "llama.rope.scaling.type": text("spiral") })],
  [
    "a value that is no number",
    /rope\.freq_base is no finite number/,
    () => check({ "llama.rope.freq_base": { type: "f32", value: Number.NaN } }),
  ],
  ["no tokenizer", /no tokenizer/, () => check({ "tokenizer.ggml.model": null })],
  ["a tokenizer that is named none", /no tokenizer/, () => check({ "tokenizer.ggml.model": text("no_vocab") })],
  ["another architecture's tokenizer", /tokenizer "rwkv"/, () => check({ "tokenizer.ggml.model": text("rwkv") })],
  [
    "a token id outside the vocabulary",
    /eos_token_id is 8, but the vocabulary has 8/,
    () => check({ "tokenizer.ggml.eos_token_id": u32(8) }),
  ],
  ["whole numbers as weights", /holds whole numbers/, () => check({}, [weight("blk.0.attn_q.weight", 26, 256)])],
  ["a template without end", /characters long/, () => check({ "tokenizer.chat_template": text("x".repeat(1_000_001)) })],
  [
    "a template of deep brackets",
    /nested more than 100 deep/,
    () => check({ "tokenizer.chat_template": text(`{{ ${"(".repeat(50_000)}1${")".repeat(50_000)} }}`) }),
  ],
  ["a template of deep blocks", /nested more than 100 deep/, () => check({ "tokenizer.chat_template": text("{% if a %}".repeat(50_000)) })],
  [
    "a template of many nots",
    /nested more than 100 deep/,
    () => check({ "tokenizer.chat_template": text(`{{ ${"not ".repeat(50_000)} a }}`) }),
  ],
  [
    "a template of many signs",
    /nested more than 100 deep/,
    () => check({ "tokenizer.chat_template": text(`{{ ${"-".repeat(50_000)}1 }}`) }),
  ],
];
for (const [what, message, run] of cases)
  test(`refused: ${what}`, () => {
    assert.throws(run, { name: "ActError", code: "model-file", message });
  });

test("alignment below ggml's own is refused", () => {
  assert.throws(() => check({ "general.alignment": u32(8) }, undefined, 8), /alignment is 8/);
});
