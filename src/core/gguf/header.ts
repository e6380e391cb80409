// Reads the header of a GGUF file and checks everything that native code would otherwise trust. Memory and time are bounded by the
// limits below, whatever the file says: nothing is allocated by a number from the file before that many bytes are known to be there.
import { type ByteSource, bad, latin1, Reader, shown } from "./reader.js";
import { ARRAY, STRING, TENSOR_TYPES, VALUE_BYTES } from "./types.js";

export type GgufScalar = number | bigint | boolean | string;
/** Long arrays keep only their length. */
export interface GgufArray {
  length: number;
  values: GgufScalar[] | null;
}

export interface GgufHeader {
  version: number;
  metadata: Map<string, GgufScalar | GgufArray>;
  architecture: string;
  name: string | null;
  layers: number;
  /** Query heads and key/value heads: the largest of any layer. 0 where the architecture has none. */
  heads: number;
  kvHeads: number;
  /** Width of the residual stream. */
  embedding: number;
  /** Elements of one head's key and value. */
  keyLength: number;
  valueLength: number;
  trainContext: number;
  vocabulary: number;
  chatTemplate: string | null;
  /** The vocabulary has fill-in-the-middle tokens. */
  infill: boolean;
  tensors: number;
  /** The first names, in file order. */
  tensorNames: readonly string[];
  /** Names of tensors of whole numbers (i8 to i64). */
  wholeNumberTensors: readonly string[];
  alignment: number;
  parameters: number;
  tensorBytes: number;
  /** Files that the model is split into. */
  splits: number;
}

const LIMITS = {
  keys: 65_536,
  keyBytes: 65_535,
  stringBytes: 16 * 2 ** 20,
  arrayLength: 16 * 2 ** 20,
  /** Elements of an array that are kept. */
  keptValues: 1024,
  tensors: 1 << 20,
  tensorNameBytes: 63,
  dimensions: 4,
  alignment: 1 << 20,
};

/** Texts by which llama.cpp recognises the three fill-in-the-middle tokens in a vocabulary. */
const INFILL_TEXTS = [
  ["<|fim_prefix|>", "<fim-prefix>", "<fim_prefix>", "<｜fim▁begin｜>", "<PRE>", "▁<PRE>", "<|code_prefix|>", "<|prefix|>"],
  ["<|fim_suffix|>", "<fim-suffix>", "<fim_suffix>", "<｜fim▁hole｜>", "<SUF>", "▁<SUF>", "<|code_suffix|>", "<|suffix|>"],
  ["<|fim_middle|>", "<fim-middle>", "<fim_middle>", "<｜fim▁end｜>", "<MID>", "▁<MID>", "<|code_middle|>", "<|middle|>"],
];
const INFILL_KEYS = [
  ["fim_pre_token_id", "prefix_token_id"],
  ["fim_suf_token_id", "suffix_token_id"],
  ["fim_mid_token_id", "middle_token_id"],
];

/** @throws ActError `model-file` with what is wrong and where */
export function readGguf(source: ByteSource): GgufHeader {
  const reader = new Reader(source);
  const magic = reader.bytes(4, "its first four bytes");
  if (latin1(magic) !== "GGUF")
    throw bad(`It does not begin with "GGUF"${latin1(magic).startsWith("PK") ? " (it looks like a zip archive)" : ""}.`);
  const version = reader.u32("the version");
  if ((version & 0xffff) === 0) throw bad("It was written for machines of the other byte order.");
  if (version < 2 || version > 3) throw bad(`It has GGUF version ${version}; versions 2 and 3 are supported.`);
  const tensorCount = reader.count("the number of tensors", LIMITS.tensors);
  const keyCount = reader.count("the number of metadata keys", LIMITS.keys);

  const metadata: GgufHeader["metadata"] = new Map();
  const infillInVocabulary = [false, false, false];
  for (let i = 0; i < keyCount; i++) {
    const key = reader.string(`metadata key ${i}`, LIMITS.keyBytes);
    if (key === "") throw bad(`Metadata key ${i} is empty.`);
    if (metadata.has(key)) throw bad(`The metadata key ${shown(key)} appears twice.`);
    const onText =
      key === "tokenizer.ggml.tokens"
        ? (text: string) => {
            const part = INFILL_TEXTS.findIndex((texts) => texts.includes(text));
            if (part >= 0) infillInVocabulary[part] = true;
          }
        : undefined;
    metadata.set(key, readValue(reader, key, onText));
  }
  const alignment = readAlignment(metadata);
  const tensors = readTensors(reader, tensorCount, alignment);
  const dataStart = Math.ceil(reader.offset / alignment) * alignment;
  for (const { name, offset, bytes } of tensors)
    if (dataStart + offset + bytes > source.size)
      throw bad(
        `The tensor ${shown(name)} ends ${dataStart + offset + bytes - source.size} bytes beyond the end of the file: it is cut off.`,
      );
  return summary(version, metadata, tensors, infillInVocabulary, alignment);
}

interface Tensor {
  name: string;
  offset: number;
  bytes: number;
  elements: number;
  isWhole: boolean;
}

function readValue(reader: Reader, key: string, onText: ((text: string) => void) | undefined): GgufScalar | GgufArray {
  const what = `the value of ${shown(key)}`;
  const type = reader.u32(what);
  if (type !== ARRAY) return readScalar(reader, type, what);
  const elementType = reader.u32(what);
  const length = reader.count(`the length of ${shown(key)}`, LIMITS.arrayLength);
  const elementBytes = VALUE_BYTES[elementType];
  if (elementType === ARRAY || elementBytes === undefined)
    throw bad(`The metadata key ${shown(key)} is an array of unknown type ${elementType}.`);
  reader.expect(length * (elementBytes ?? 8), what);
  if (elementBytes !== null && length > LIMITS.keptValues) {
    reader.skip(length * elementBytes, what);
    return { length, values: null };
  }
  const kept: GgufScalar[] = [];
  for (let i = 0; i < length; i++) {
    if (elementType !== STRING) kept.push(readScalar(reader, elementType, what));
    else if (length <= LIMITS.keptValues || onText) {
      const text = reader.string(what, LIMITS.stringBytes);
      onText?.(text);
      if (length <= LIMITS.keptValues) kept.push(text);
    } else reader.skipString(what, LIMITS.stringBytes);
  }
  return { length, values: length <= LIMITS.keptValues ? kept : null };
}

function readScalar(reader: Reader, type: number, what: string): GgufScalar {
  switch (type) {
    case 0:
      return reader.view(1, what).getUint8(0);
    case 1:
      return reader.view(1, what).getInt8(0);
    case 2:
      return reader.view(2, what).getUint16(0, true);
    case 3:
      return reader.view(2, what).getInt16(0, true);
    case 4:
      return reader.view(4, what).getUint32(0, true);
    case 5:
      return reader.view(4, what).getInt32(0, true);
    case 6:
      return reader.view(4, what).getFloat32(0, true);
    case 7:
      return reader.view(1, what).getInt8(0) !== 0;
    case STRING:
      return reader.string(what, LIMITS.stringBytes);
    case 10:
      return reader.view(8, what).getBigUint64(0, true);
    case 11:
      return reader.view(8, what).getBigInt64(0, true);
    case 12:
      return reader.view(8, what).getFloat64(0, true);
    default:
      throw bad(`${what[0]?.toUpperCase()}${what.slice(1)} has the unknown type ${type}.`);
  }
}

function readAlignment(metadata: GgufHeader["metadata"]): number {
  const alignment = metadata.get("general.alignment") ?? 32;
  if (typeof alignment !== "number" || alignment < 1 || alignment > LIMITS.alignment || (alignment & (alignment - 1)) !== 0)
    throw bad(`Its alignment is ${String(alignment)}; it must be a power of two up to ${LIMITS.alignment}.`);
  return alignment;
}

function readTensors(reader: Reader, count: number, alignment: number): Tensor[] {
  const tensors: Tensor[] = [];
  const names = new Set<string>();
  for (let i = 0; i < count; i++) {
    const name = reader.string(`the name of tensor ${i}`, LIMITS.tensorNameBytes);
    if (names.has(name)) throw bad(`The tensor ${shown(name)} appears twice.`);
    names.add(name);
    const what = `the shape of tensor ${shown(name)}`;
    const dimensions = reader.u32(what);
    if (dimensions > LIMITS.dimensions)
      throw bad(`The tensor ${shown(name)} has ${dimensions} dimensions; at most ${LIMITS.dimensions} are supported.`);
    let elements = 1;
    let row = 1;
    for (let d = 0; d < dimensions; d++) {
      const size = reader.count(what, Number.MAX_SAFE_INTEGER);
      if (d === 0) row = size;
      elements *= size;
    }
    if (!Number.isSafeInteger(elements)) throw bad(`The tensor ${shown(name)} has more elements than can be counted.`);
    const type = reader.u32(`the type of tensor ${shown(name)}`);
    const known = TENSOR_TYPES.get(type);
    if (!known) throw bad(`The tensor ${shown(name)} has the unknown type ${type}.`);
    const [typeName, blockSize, blockBytes] = known;
    if (row % blockSize !== 0)
      throw bad(`The tensor ${shown(name)} has rows of ${row} elements, which ${typeName} blocks of ${blockSize} do not fill.`);
    const offset = reader.count(`the offset of tensor ${shown(name)}`, Number.MAX_SAFE_INTEGER);
    if (offset % alignment !== 0)
      throw bad(`The tensor ${shown(name)} begins at ${offset}, which is no multiple of the alignment ${alignment}.`);
    tensors.push({ name, offset, elements, bytes: (elements / blockSize) * blockBytes, isWhole: /^i\d+$/.test(typeName) });
  }
  return tensors;
}

function summary(
  version: number,
  metadata: GgufHeader["metadata"],
  tensors: Tensor[],
  infillInVocabulary: boolean[],
  alignment: number,
): GgufHeader {
  // The first part alone holds the metadata.
  const part = Number(metadata.get("split.no") ?? 0);
  if (part > 0)
    throw bad(`It is part ${part + 1} of ${String(metadata.get("split.count") ?? "several")} of a split model; choose the first part.`);
  const architecture = metadata.get("general.architecture");
  if (typeof architecture !== "string" || architecture === "") throw bad("It does not name its architecture.");
  const number = (key: string, fallback: number): number => {
    const value = metadata.get(key);
    if (value === undefined) return fallback;
    const all = typeof value === "object" ? (value.values ?? []) : [value];
    const numbers = all.map(Number);
    if (numbers.some((n) => !Number.isSafeInteger(n) || n < 0)) throw bad(`The metadata key ${shown(key)} is not a count.`);
    return Math.max(0, ...numbers);
  };
  const text = (key: string): string | null => {
    const value = metadata.get(key);
    return typeof value === "string" && value.trim() !== "" ? value : null;
  };
  const own = (key: string) => `${architecture}.${key}`;
  const lengthOf = (key: string): number | null => {
    const value = metadata.get(key);
    return typeof value === "object" ? value.length : null;
  };
  const vocabulary = lengthOf("tokenizer.ggml.tokens") ?? number(own("vocab_size"), 0);
  // llama.cpp reads one score and one type per token without looking at the arrays' own lengths.
  for (const key of ["tokenizer.ggml.scores", "tokenizer.ggml.token_type"]) {
    const length = lengthOf(key);
    if (length !== null && length !== vocabulary) throw bad(`It has ${vocabulary} tokens, but ${shown(key)} has ${length} entries.`);
  }
  const heads = number(own("attention.head_count"), 0);
  const embedding = number(own("embedding_length"), 0);
  const width = heads > 0 ? Math.floor(embedding / heads) : 0;
  const infillKey = (part: number) => (INFILL_KEYS[part] ?? []).some((key) => metadata.has(`tokenizer.ggml.${key}`));
  return {
    version,
    metadata,
    architecture,
    name: text("general.name"),
    layers: number(own("block_count"), 0),
    heads,
    kvHeads: number(own("attention.head_count_kv"), heads),
    embedding,
    keyLength: number(own("attention.key_length"), width),
    valueLength: number(own("attention.value_length"), width),
    trainContext: number(own("context_length"), 0),
    vocabulary,
    chatTemplate: text("tokenizer.chat_template"),
    infill: infillInVocabulary.every((found, part) => found || infillKey(part)),
    tensors: tensors.length,
    tensorNames: tensors.slice(0, 64).map(({ name }) => name),
    wholeNumberTensors: tensors.filter(({ isWhole }) => isWhole).map(({ name }) => name),
    alignment,
    parameters: tensors.reduce((sum, tensor) => sum + tensor.elements, 0),
    tensorBytes: tensors.reduce((sum, tensor) => sum + tensor.bytes, 0),
    splits: Math.max(1, number("split.count", 1)),
  };
}
