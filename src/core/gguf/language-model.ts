// Whether a sound GGUF file is a language model that llama.cpp can load and run. llama.cpp takes much of this on trust and aborts later.
import { ActError } from "../../protocol/errors.js";
import type { GgufHeader } from "./header.js";

/** llama.cpp's LLAMA_MAX_LAYERS and a bound for what indexes its arrays by head. */
const MOST_LAYERS = 512;
const MOST_HEADS = 4096;
const LEAST_CONTEXT = 16;
/** ggml aligns tensors to this many bytes. */
const LEAST_ALIGNMENT = 32;
const ROPE_SCALINGS = ["none", "linear", "yarn", "longrope"];
const MOST_TEMPLATE = 1_000_000;
const MOST_NESTING = 100;

/** Architectures that embed text or denoise it, instead of continuing it. */
const ENCODERS = /^(bert|modern-bert|nomic-bert|nomic-bert-moe|neo-bert|jina-bert-v[23]|eurobert|gemma-embedding|llama-embed|t5encoder)$/;
const OTHERS: Readonly<Record<string, string>> = {
  clip: "a projector for pictures or sound (mmproj)",
  t5: "an encoder-decoder model",
  dream: "a diffusion model",
  llada: "a diffusion model",
  "llada-moe": "a diffusion model",
  rnd1: "a diffusion model",
  "wavtokenizer-dec": "a sound decoder",
  qwen3tts: "a speech model",
  pockettts: "a speech model",
  eagle3: "a draft head of another model",
  dflash: "a draft head of another model",
  "gemma4-assistant": "a draft head of another model",
};

/** @throws ActError `model-file` with what the file is instead, and what to choose */
export function assertLanguageModel(header: GgufHeader): void {
  const kind = otherKind(header);
  if (kind) throw new ActError("model-file", `It is ${kind}, not a language model that continues text. Choose a language model.`);
  const fault = structureFault(header) ?? vocabularyFault(header) ?? templateFault(header.chatTemplate) ?? tensorFault(header);
  if (fault) throw new ActError("model-file", fault);
}

/** What the file is, where it is no language model. */
function otherKind({ metadata, architecture, tensors, tensorNames, splits }: GgufHeader): string | null {
  const type = metadata.get("general.type");
  if (type === "adapter" || metadata.has("adapter.type") || tensorNames.some((name) => /\.lora_[ab]$/.test(name)))
    return "a LoRA adapter, which changes another model";
  if (type === "mmproj" || metadata.get("general.architecture") === "clip" || metadata.has("clip.projector_type"))
    return OTHERS.clip ?? null;
  if (type === "imatrix") return "an importance matrix";
  if (typeof type === "string" && type !== "model") return `a file of the kind "${type.slice(0, 40)}"`;
  if (tensors === 0 && splits === 1) return "a vocabulary without weights";
  if (ENCODERS.test(architecture)) return "an embedding model";
  const pooling = metadata.get(`${architecture}.pooling_type`);
  if (typeof pooling === "number" && pooling > 0) return pooling === 4 ? "a reranking model" : "an embedding model";
  if (metadata.get(`${architecture}.attention.causal`) === false) return "an encoder, whose tokens also look ahead";
  return OTHERS[architecture] ?? null;
}

function structureFault({ metadata, architecture, layers, heads, kvHeads, embedding, trainContext, alignment }: GgufHeader): string | null {
  const key = (name: string) => `${architecture}.${name}`;
  if (layers < 1 || layers > MOST_LAYERS) return `It names ${layers} layers; 1 to ${MOST_LAYERS} are supported.`;
  if (embedding < 1) return `It does not say how wide it is (${key("embedding_length")}).`;
  if (trainContext < LEAST_CONTEXT) return `It names a context of ${trainContext} tokens; at least ${LEAST_CONTEXT} are needed.`;
  if (alignment < LEAST_ALIGNMENT) return `Its alignment is ${alignment}; at least ${LEAST_ALIGNMENT} is supported.`;
  if (heads > MOST_HEADS || kvHeads > heads) return `It names ${heads} heads with ${kvHeads} key/value heads, which does not go together.`;
  for (const name of ["attention.head_count", "attention.head_count_kv", "feed_forward_length"]) {
    const value = metadata.get(key(name));
    if (typeof value === "object" && value.length !== layers)
      return `It has ${layers} layers, but ${key(name)} has ${value.length} entries.`;
  }
  // Recurrent models have none; in others it must divide into key/value heads.
  if (
    metadata.has(key("attention.head_count")) &&
    heads > 0 &&
    kvHeads > 0 &&
    typeof metadata.get(key("attention.head_count")) === "number"
  )
    if (typeof metadata.get(key("attention.head_count_kv")) === "number" && heads % kvHeads !== 0)
      return `It names ${heads} heads, which ${kvHeads} key/value heads do not divide.`;
  const scaling = metadata.get(key("rope.scaling.type"));
  if (scaling !== undefined && !ROPE_SCALINGS.includes(String(scaling)))
    return `It names the rope scaling "${String(scaling).slice(0, 40)}"; ${ROPE_SCALINGS.join(", ")} are known.`;
  for (const [name, value] of metadata)
    if (name.startsWith(`${architecture}.`) && typeof value === "number" && !Number.isFinite(value))
      return `The value of ${name} is no finite number.`;
  return null;
}

function vocabularyFault({ metadata, architecture, vocabulary }: GgufHeader): string | null {
  const model = metadata.get("tokenizer.ggml.model");
  if (typeof model !== "string" || model === "none" || model === "no_vocab" || vocabulary < 1) return "It has no tokenizer.";
  if (model === "rwkv" && !/rwkv/.test(architecture)) return `It names the tokenizer "rwkv", which ${architecture} models do not have.`;
  for (const [name, value] of metadata) {
    if (!/^tokenizer\.ggml\.\w*token_id$/.test(name)) continue;
    const id = Number(value);
    // 2^32 - 1 is llama.cpp's "none".
    if (!Number.isInteger(id) || ((id < 0 || id >= vocabulary) && id !== 0xffffffff && id !== -1))
      return `${name} is ${String(value)}, but the vocabulary has ${vocabulary} tokens.`;
  }
  return null;
}

/** llama.cpp reads templates by recursion, in the engine's process. */
function templateFault(template: string | null): string | null {
  if (template === null) return null;
  if (template.length > MOST_TEMPLATE) return `Its chat template is ${template.length} characters long; at most ${MOST_TEMPLATE} are read.`;
  let brackets = 0;
  let blocks = 0;
  for (const [part] of template.matchAll(/\{%[-+]?\s*(?:end)?(?:for|if|macro|call|filter|generation)\b|[([{]|[)\]}]/g)) {
    if (part.startsWith("{%")) blocks += /%[-+]?\s*end/.test(part) ? -1 : 1;
    else if ("([{".includes(part)) brackets++;
    else brackets = Math.max(0, brackets - 1);
    if (brackets > MOST_NESTING || blocks > MOST_NESTING) return `Its chat template is nested more than ${MOST_NESTING} deep.`;
  }
  return /(\bnot\s+){100}|([-+~]\s*){100}(?=\w)/.test(template) ? `Its chat template is nested more than ${MOST_NESTING} deep.` : null;
}

/** Weights are numbers with a fraction; the operations on them have no form for whole numbers. */
function tensorFault({ wholeNumberTensors }: GgufHeader): string | null {
  const weight = wholeNumberTensors.find((name) => /\.(weight|bias)$/.test(name) && !/tid2eid/.test(name));
  return weight ? `The tensor "${weight}" holds whole numbers, which are no weights.` : null;
}
