import { existsSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { getLlama, type Llama, LlamaLogLevel, type LlamaModel, NoBinaryFoundError } from "node-llama-cpp";
import type { Calibration } from "../protocol/calibration.js";
import type { BackendInfo, BackendName, HeadSinks, LoadParams } from "../protocol/engine.js";
import { ActError } from "../protocol/errors.js";

/**
 * The only file that imports node-llama-cpp. It drives the addon's own model and context objects, not the library's session classes: one
 * decode here is one llama_decode, so ubatches, sequences and cache cells are exactly what the caller says. Everything that reaches native
 * code is checked before (token ids, positions, head sets), because native code asserts instead of throwing.
 */

/** The addon's context: stock methods, and ours (all optional: a stock binary has none). */
interface AddonContext {
  init(): Promise<boolean>;
  dispose(): Promise<void>;
  initBatch(size: number): void;
  addToBatch(sequence: number, firstPosition: number, tokens: Uint32Array, outputs: Uint32Array): Uint32Array;
  decodeBatch(): Promise<void>;
  sampleToken(index: number, sampler: AddonSampler): Promise<number>;
  sampleToken(
    index: number,
    sampler: AddonSampler,
    probabilities: boolean,
    confidence: boolean,
    logits: true,
  ): Promise<[number, undefined, undefined, number[]]>;
  removeTokenCellsFromSequence(sequence: number, start: number, end: number): boolean;
  shiftSequenceTokenCells(sequence: number, start: number, end: number, delta: number): void;
  copySequenceStateFromOtherSequence(target: number, source: number): Promise<number>;
  getMemoryBreakdown(): { cpuRam: number; gpuVram: number };
  actSetCalibration?(sequence: number, calibration: NativeCalibration | null): void;
  actBeginPrefill?(sequence: number): void;
  actDecode?(batch: DecodeBatch): Promise<number>;
  actAbort?(): void;
  actLogits?(index: number): Float32Array;
  actSinks?(sequence: number): Int32Array;
  actSetCapture?(on: boolean): void;
  actCapture?(): { layers: number; heads: number; keys: number; columnMeans: Float32Array };
  actSetHeadCapture?(layer: number, head: number, window?: HeadWindow): void;
  actHeadCapture?(): Float32Array;
  actSetLayerInputs?(on: boolean): void;
  actStateSize?(): number;
  actLayerInput?(layer: number, tokens: number): Float32Array;
}
interface NativeCalibration {
  method: 0 | 1;
  beta: number;
  thresholdMode: 0 | 1;
  threshold: number;
  statistics: 0 | 1;
  heads: Int32Array;
}
interface AddonSampler {
  dispose(): void;
  applyConfig(config: Record<string, unknown>): void;
}
interface AddonModel {
  init(): Promise<boolean>;
  tokenize(text: string, special: boolean): Uint32Array;
  detokenize(tokens: Uint32Array, special: boolean): string;
  getTotalParameters(): number;
  getModelSize(): number;
  getTrainContextSize(): number;
  getTokenAttributes(token: number): number;
  isEogToken(token: number): boolean;
}
interface Bindings {
  AddonContext: new (model: AddonModel, params: Record<string, unknown>) => AddonContext;
  AddonSampler: new (model: AddonModel) => AddonSampler;
  AddonJinjaRenderer: new (template: string) => { render(items: Record<string, unknown>): string };
  getGpuDeviceInfo(): { deviceNames: string[] };
  actPatchSet?(): string;
  actModelSupport?(model: AddonModel): string;
}

/** One llama_decode: `outputs[i]` = 1 where the logits of token i are wanted. Positions are cache positions within the token's sequence. */
export interface DecodeBatch {
  tokens: Int32Array;
  positions: Int32Array;
  sequences: Int32Array;
  outputs: Uint8Array;
  /** Starts the graph at this layer from `embeddings` [tokens][embedding width], that layer's saved input. */
  firstLayer?: number;
  embeddings?: Float32Array;
}

/** The part of a head's attention matrix that is kept: rows and columns in positions, `pool` of them to a cell (the largest counts). */
export interface HeadWindow {
  firstRow: number;
  rows: number;
  firstColumn: number;
  columns: number;
  pool: number;
}

export interface ColumnMeans {
  layers: number;
  heads: number;
  keys: number;
  /** [layer][head][key], before calibration. */
  columnMeans: Float32Array;
}

export interface ContextOptions {
  /** Cells of each sequence. */
  contextSize: number;
  /** Most tokens of one decode. */
  ubatch: number;
  sequences: number;
  threads: number;
  flashAttention: "on" | "off" | "auto";
  cacheType: NonNullable<LoadParams["cacheType"]>;
}

/** ggml's numbers of the cache types. */
const GGML_TYPES = { f32: 0, f16: 1, q4_0: 2, q8_0: 8 } as const;
const CONTROL_ATTRIBUTE = 1 << 3;

export type LogListener = (level: "error" | "warn" | "info" | "debug", text: string) => void;

/** One loaded llama.cpp binary. */
export class Backend {
  private constructor(
    readonly name: BackendName,
    readonly llama: Llama,
    private readonly recent: string[],
  ) {}

  /** Loads the binary for a backend; never compiles. @throws ActError `unsupported` where there is none or it does not work here. */
  static async open(name: BackendName, log: LogListener): Promise<Backend> {
    const recent: string[] = [];
    const logger = (level: LlamaLogLevel, text: string) => {
      const line = text.trimEnd();
      if (line === "") return;
      const known = level === "fatal" ? "error" : level === "warn" || level === "error" || level === "info" ? level : "debug";
      recent.push(line);
      if (recent.length > 400) recent.splice(0, 200);
      log(known, line);
    };
    try {
      const llama = await getLlama({
        build: "never",
        gpu: name === "cpu" ? false : name,
        logLevel: LlamaLogLevel.info,
        logger,
        skipDownload: true,
      });
      return new Backend(name, llama, recent);
    } catch (error) {
      const why = error instanceof NoBinaryFoundError ? "no llama.cpp binary for it is installed or works on this machine" : String(error);
      throw new ActError("unsupported", `The backend "${name}" cannot be used: ${why}. Choose another with --backend, for instance cpu.`, {
        cause: error,
      });
    }
  }

  get bindings(): Bindings {
    return (this.llama as unknown as { _bindings: Bindings })._bindings;
  }

  /** Hash over native-patches; null for a stock binary. */
  get patchSet(): string | null {
    return this.bindings.actPatchSet?.() ?? null;
  }

  get llamaCpp(): string {
    return this.llama.llamaCppRelease.release;
  }

  get defaultThreads(): number {
    return Math.max(1, this.llama.cpuMathCores);
  }

  info(): BackendInfo {
    const device = this.name === "cpu" ? undefined : this.bindings.getGpuDeviceInfo().deviceNames.join(", ");
    const reason = this.patchSet === null ? "a stock llama.cpp binary is installed for this backend" : undefined;
    return { name: this.name, act: this.patchSet !== null, ...(device ? { device } : {}), ...(reason ? { reason } : {}) };
  }

  /** The last lines llama.cpp logged that match, newest last. */
  logged(pattern: RegExp): string[] {
    return this.recent.filter((line) => pattern.test(line));
  }

  /** @throws ActError `model-file` when llama.cpp cannot load the file. */
  async loadModel(
    path: string,
    gpuLayers: number | undefined,
    onProgress: (fraction: number) => void,
    signal: AbortSignal,
  ): Promise<NativeModel> {
    this.recent.length = 0;
    try {
      const layers = this.name === "cpu" ? 0 : (gpuLayers ?? "auto");
      const model = await this.llama.loadModel({
        modelPath: path,
        gpuLayers: layers,
        onLoadProgress: onProgress,
        loadSignal: signal,
        // The engine does its own check before loading and names the numbers.
        ignoreMemorySafetyChecks: true,
      });
      return new NativeModel(this, model);
    } catch (error) {
      if (signal.aborted) throw new ActError("cancelled", "Loading the model was cancelled.");
      const said = this.logged(/error|failed|unknown|unsupported|missing|invalid/i).at(-1);
      throw new ActError(
        "model-file",
        `llama.cpp could not load ${path}: ${said ?? (error instanceof Error ? error.message : String(error))}`,
        { cause: error },
      );
    }
  }
}

/** Backends that have a binary installed, ours or stock, judged by the folders alone. The CPU comes last. */
export function installedBackends(): { name: BackendName; ours: boolean }[] {
  const root = dirname(dirname(fileURLToPath(import.meta.resolve("node-llama-cpp"))));
  const builds = join(root, "llama", "localBuilds");
  const local = existsSync(builds) ? readdirSync(builds) : [];
  const platform = process.platform === "win32" ? "win" : process.platform === "darwin" ? "mac" : "linux";
  const found: { name: BackendName; ours: boolean }[] = [];
  for (const name of ["metal", "cuda", "vulkan"] as const) {
    const ours = local.some((folder) => folder.startsWith(`${platform}-${process.arch}-${name}`));
    const stock = existsSync(join(dirname(root), "@node-llama-cpp", `${platform}-${process.arch}-${name}`));
    if (ours || stock) found.push({ name, ours });
  }
  found.push({ name: "cpu", ours: local.includes(`${platform}-${process.arch}`) });
  return found;
}

export class NativeModel {
  private readonly addon: AddonModel;
  private renderer: { render(items: Record<string, unknown>): string } | null | undefined;

  constructor(
    readonly backend: Backend,
    private readonly model: LlamaModel,
  ) {
    this.addon = (model as unknown as { _model: AddonModel })._model;
  }

  get architecture(): string {
    return this.model.fileInfo.metadata?.general?.architecture ?? "unknown";
  }
  get name(): string {
    return this.model.fileInfo.metadata?.general?.name ?? this.model.filename ?? "model";
  }
  /** Number of attention layers, query heads and key/value heads (of the first layer, where they differ by layer). */
  get shape(): { layers: number; heads: number; kvHeads: number; embedding: number } {
    const meta = this.model.fileInfo.architectureMetadata;
    const first = (value: unknown) => Number(Array.isArray(value) ? value[0] : (value ?? 0));
    const heads = first(meta?.attention?.head_count);
    return {
      layers: Number(meta?.block_count ?? 0),
      heads,
      kvHeads: first(meta?.attention?.head_count_kv) || heads,
      embedding: Number(meta?.embedding_length ?? 0),
    };
  }
  get vocabulary(): number {
    return this.model.fileInfo.metadata?.tokenizer?.ggml?.tokens?.length ?? 0;
  }
  get parameters(): number {
    return this.addon.getTotalParameters();
  }
  get bytes(): number {
    return this.addon.getModelSize();
  }
  get trainContext(): number {
    return this.addon.getTrainContextSize();
  }
  get chatTemplate(): string | null {
    const template = this.model.fileInfo.metadata?.tokenizer?.chat_template;
    return typeof template === "string" && template.trim() !== "" ? template : null;
  }
  /** BOS token where the model wants one before every prompt, else null. */
  get bos(): number | null {
    return this.model.tokens.shouldPrependBosToken ? this.model.tokens.bos : null;
  }
  get bosText(): string {
    return this.model.tokens.bosString ?? "";
  }
  get eosText(): string {
    return this.model.tokens.eosString ?? "";
  }
  /** The three fill-in-the-middle tokens, or null for a model without them. */
  get infillTokens(): { prefix: number; suffix: number; middle: number } | null {
    const { prefix, suffix, middle } = this.model.tokens.infill;
    return prefix !== null && suffix !== null && middle !== null ? { prefix, suffix, middle } : null;
  }
  /** The token whose whole text is `text`, or null. */
  specialToken(text: string): number | null {
    const [id, more] = this.addon.tokenize(text, true);
    return id !== undefined && more === undefined && this.isControl(id) ? id : null;
  }

  /** "" when head sets may be applied, else why not, as a sentence; null for a stock binary. */
  actSupport(): string | null {
    return this.backend.bindings.actModelSupport?.(this.addon) ?? null;
  }

  /** `special`: text like `<|im_end|>` becomes the control token; otherwise it stays plain text. No BOS is added. */
  tokenize(text: string, special: boolean): number[] {
    return text === "" ? [] : Array.from(this.addon.tokenize(text, special));
  }
  detokenize(tokens: readonly number[], special = false): string {
    return tokens.length === 0 ? "" : this.addon.detokenize(Uint32Array.from(tokens), special);
  }
  isEndOfGeneration(token: number): boolean {
    return this.model.isEogToken(token as never);
  }
  isControl(token: number): boolean {
    return (this.addon.getTokenAttributes(token) & CONTROL_ATTRIBUTE) !== 0;
  }

  /** Renders the model's own chat template. @throws ActError `model-file` when the template fails. */
  renderChat(items: Record<string, unknown>): string {
    const template = this.chatTemplate;
    if (template === null)
      throw new ActError(
        "unsupported",
        `The model "${this.name}" has no chat template; use completion, or choose an instruction-tuned model.`,
      );
    try {
      this.renderer ??= new this.backend.bindings.AddonJinjaRenderer(template);
      return this.renderer.render(items);
    } catch (error) {
      throw new ActError("model-file", `The model's chat template failed: ${error instanceof Error ? error.message : String(error)}`, {
        cause: error,
      });
    }
  }

  /** @throws ActError `model-memory` when llama.cpp cannot allocate it. */
  async createContext(options: ContextOptions): Promise<NativeContext> {
    const { contextSize, sequences, ubatch, threads, flashAttention, cacheType } = options;
    if ((cacheType === "q8_0" || cacheType === "q4_0") && flashAttention === "off")
      throw new ActError("usage", `A ${cacheType} cache needs FlashAttention: leave it on, or use --cache-type f16.`);
    // llama.cpp pads cells to 256; rounding up here keeps the sizes we report and the ones it allocates the same.
    const cells = Math.ceil(contextSize / 256) * 256;
    const addon = new this.backend.bindings.AddonContext(this.addon, {
      contextSize: cells * sequences,
      batchSize: ubatch,
      sequences,
      threads,
      flashAttention: flashAttention === "auto" ? "auto" : flashAttention === "on",
      kvCacheKeyType: GGML_TYPES[cacheType],
      kvCacheValueType: GGML_TYPES[cacheType],
      swaFullCache: true,
    });
    if (!(await addon.init().catch(() => false))) {
      const said = this.backend.logged(/error|failed|requires|unsupported/i).at(-1);
      throw new ActError(
        "model-memory",
        `llama.cpp could not create a context of ${sequences} x ${cells} tokens${said ? ` (${said})` : ""}. Ask for a smaller context, or another cache type.`,
      );
    }
    const resolved = this.backend.logged(/flash attention (enabled|disabled|not)/i).at(-1);
    const flash = flashAttention === "auto" ? resolved !== undefined && /enabled/i.test(resolved) : flashAttention === "on";
    return new NativeContext(this, addon, { ...options, contextSize: cells }, flash);
  }

  createSampler(): Sampler {
    return new Sampler(new this.backend.bindings.AddonSampler(this.addon));
  }

  async dispose(): Promise<void> {
    await this.model.dispose();
  }
}

export interface SamplerConfig {
  temperature: number;
  topK?: number;
  topP?: number;
  minP?: number;
  seed?: number;
  repeatPenalty?: number;
  /** Tokens that `repeatPenalty` applies to. */
  recent?: readonly number[];
}

/** llama.cpp's own sampler chain; greedy at temperature 0. */
export class Sampler {
  constructor(readonly addon: AddonSampler) {}

  configure(config: SamplerConfig): void {
    const penalise = config.repeatPenalty !== undefined && config.repeatPenalty !== 1 && config.recent && config.recent.length > 0;
    this.addon.applyConfig({
      temperature: config.temperature,
      ...(config.topK !== undefined && { topK: config.topK }),
      ...(config.topP !== undefined && { topP: config.topP }),
      ...(config.minP !== undefined && { minP: config.minP }),
      ...(config.seed !== undefined && { seed: config.seed }),
      ...(penalise && {
        repeatPenalty: config.repeatPenalty,
        repeatPenaltyMaxTokens: config.recent?.length,
        repeatPenaltyTokens: Uint32Array.from(config.recent ?? []),
      }),
    });
  }

  dispose(): void {
    this.addon.dispose();
  }
}

/** One llama.cpp context: `sequences` KV streams of `contextSize` cells each. Calls must not overlap (the engine's queue sees to it). */
export class NativeContext {
  constructor(
    readonly model: NativeModel,
    private readonly addon: AddonContext,
    readonly options: Readonly<ContextOptions>,
    readonly flashAttention: boolean,
  ) {}

  /** Bytes of cache and compute buffers as llama.cpp reports them. */
  get bytes(): number {
    const { cpuRam, gpuVram } = this.addon.getMemoryBreakdown();
    return cpuRam + gpuVram;
  }

  /** Bytes of the running statistics of calibrated heads. */
  get calibrationBytes(): number {
    return this.addon.actStateSize?.() ?? 0;
  }

  /**
   * One llama_decode of at most `ubatch` tokens. Resolves to false when aborted (the caller then drops the cells it added).
   * @throws ActError `context-overflow` when a sequence has no cells left, `usage` for a bad batch.
   */
  async decode(batch: DecodeBatch, signal?: AbortSignal): Promise<boolean> {
    this.check(batch);
    if (signal?.aborted) return false;
    if (!this.addon.actDecode) {
      await this.decodeStock(batch);
      return !signal?.aborted;
    }
    const abort = () => this.addon.actAbort?.();
    signal?.addEventListener("abort", abort, { once: true });
    try {
      const code = await this.addon.actDecode(batch);
      if (code === 2) return false;
      if (code === 1)
        throw new ActError(
          "context-overflow",
          `The context has no room for ${batch.tokens.length} more tokens (${this.options.contextSize} per sequence).`,
        );
      if (code !== 0) throw new ActError("internal", `llama.cpp could not evaluate the batch (code ${code}).`);
      return true;
    } finally {
      signal?.removeEventListener("abort", abort);
    }
  }

  private check({ tokens, positions, sequences, outputs, embeddings, firstLayer }: DecodeBatch): void {
    const n = positions.length;
    const { ubatch, contextSize, sequences: streams } = this.options;
    const bad = (why: string) => new ActError("usage", `Bad batch: ${why}.`);
    if (n === 0) throw bad("it is empty");
    if (n > ubatch) throw new ActError("context-overflow", `A batch of ${n} tokens does not fit one segment of ${ubatch} tokens.`);
    if (sequences.length !== n || outputs.length !== n || (!embeddings && tokens.length !== n)) throw bad("its arrays differ in length");
    if (embeddings && embeddings.length !== n * this.model.shape.embedding) throw bad("its embeddings have the wrong length");
    if (firstLayer !== undefined && !(firstLayer >= 0 && firstLayer < this.model.shape.layers))
      throw bad(`there is no layer ${firstLayer}`);
    for (let i = 0; i < n; i++) {
      const position = positions[i] ?? -1;
      const sequence = sequences[i] ?? -1;
      if (position < 0 || position >= contextSize)
        throw new ActError("context-overflow", `Position ${position} lies outside the context of ${contextSize} tokens.`);
      if (sequence < 0 || sequence >= streams) throw bad(`there is no sequence ${sequence}`);
      const token = tokens[i] ?? -1;
      if (!embeddings && (token < 0 || token >= this.model.vocabulary))
        throw bad(`token id ${token} is not in the vocabulary of ${this.model.vocabulary}`);
    }
  }

  /** The same through the stock addon's batch methods: runs of one sequence at consecutive positions. */
  private async decodeStock({ tokens, positions, sequences, outputs, embeddings, firstLayer }: DecodeBatch): Promise<void> {
    if (embeddings || firstLayer !== undefined) throw stockBinary("restart at a layer");
    this.addon.initBatch(tokens.length);
    for (let start = 0; start < tokens.length; ) {
      let end = start + 1;
      while (end < tokens.length && sequences[end] === sequences[start] && positions[end] === (positions[end - 1] ?? 0) + 1) end++;
      const wanted: number[] = [];
      for (let i = start; i < end; i++) if (outputs[i]) wanted.push(i - start);
      this.addon.addToBatch(
        sequences[start] ?? 0,
        positions[start] ?? 0,
        Uint32Array.from(tokens.subarray(start, end)),
        Uint32Array.from(wanted),
      );
      start = end;
    }
    await this.addon.decodeBatch();
  }

  /** Logits of token `index` of the last decode (a copy, one per vocabulary entry). */
  async logits(index: number): Promise<Float32Array> {
    if (this.addon.actLogits) return this.addon.actLogits(index);
    const sampler = this.model.createSampler();
    try {
      sampler.configure({ temperature: 0 });
      const [, , , pairs] = await this.addon.sampleToken(index, sampler.addon, false, false, true);
      const logits = new Float32Array(this.model.vocabulary);
      for (let i = 0; i < pairs.length; i += 2) logits[pairs[i] ?? 0] = pairs[i + 1] ?? 0;
      return logits;
    } finally {
      sampler.dispose();
    }
  }

  /** Samples after token `index` of the last decode. */
  async sample(index: number, sampler: Sampler): Promise<number> {
    const token = await this.addon.sampleToken(index, sampler.addon);
    if (token < 0) throw new ActError("internal", "The sampler left no token to choose.");
    return token;
  }

  /** Removes the cells at positions [start, end) of a sequence (-1 = to the end). False where the cache cannot (recurrent models): then clear the whole sequence. */
  removeCells(sequence: number, start: number, end = -1): boolean {
    return this.addon.removeTokenCellsFromSequence(sequence, start, end);
  }
  shiftCells(sequence: number, start: number, end: number, delta: number): void {
    this.addon.shiftSequenceTokenCells(sequence, start, end, delta);
  }
  async copySequence(target: number, source: number): Promise<void> {
    await this.addon.copySequenceStateFromOtherSequence(target, source);
  }

  /** Whether this binary has our methods. */
  get patched(): boolean {
    return this.addon.actSetCalibration !== undefined;
  }

  /**
   * Calibration of a sequence from now on; null = off. The caller drops the sequence's cells when it changes.
   * @throws ActError `stock-binary`, `unsupported` (architecture).
   */
  setCalibration(sequence: number, calibration: Calibration | null): void {
    if (!this.addon.actSetCalibration) {
      if (calibration) throw stockBinary("calibrate attention heads");
      return;
    }
    if (!calibration || calibration.heads.length === 0) {
      this.addon.actSetCalibration(sequence, null);
      return;
    }
    this.addon.actSetCalibration(sequence, {
      method: calibration.method === "act" ? 0 : 1,
      beta: calibration.beta,
      thresholdMode: calibration.threshold.mode === "fixed" ? 0 : 1,
      threshold: calibration.threshold.value,
      statistics: calibration.statistics === "running" ? 0 : 1,
      heads: Int32Array.from(calibration.heads.flat()),
    });
  }

  /** The column sums of the sequence start anew with its next decode. */
  beginPrefill(sequence: number): void {
    this.addon.actBeginPrefill?.(sequence);
  }

  /** Sinks of the calibrated heads of a sequence in its last segment, by layer and head. */
  sinks(sequence: number): HeadSinks[] {
    if (!this.addon.actSinks) throw stockBinary("report attention sinks");
    return readSinks(this.addon.actSinks(sequence));
  }

  /** Keeps the column means of every head during the decodes of `work`, and returns them (running since the prefill began). */
  async capture(work: () => Promise<void>): Promise<ColumnMeans> {
    const { addon } = this;
    if (!addon.actSetCapture || !addon.actCapture) throw stockBinary("show attention sinks");
    addon.actSetCapture(true);
    try {
      await work();
      return addon.actCapture();
    } finally {
      addon.actSetCapture(false);
    }
  }

  /**
   * Keeps a window of one head's attention during the decodes of `work`.
   * @returns row-major pooled cells before and after calibration, NaN where no row looked (above the diagonal)
   */
  async captureHead(
    layer: number,
    head: number,
    window: HeadWindow,
    work: () => Promise<void>,
  ): Promise<{ before: Float32Array; after: Float32Array }> {
    const { addon } = this;
    if (!addon.actSetHeadCapture || !addon.actHeadCapture) throw stockBinary("show a head's attention");
    // a head that is not calibrated has statistics only while every head is watched
    addon.actSetCapture?.(true);
    addon.actSetHeadCapture(layer, head, window);
    try {
      await work();
      const cells = addon.actHeadCapture();
      return { before: cells.slice(0, cells.length / 2), after: cells.slice(cells.length / 2) };
    } finally {
      addon.actSetHeadCapture(-1, -1);
      addon.actSetCapture?.(false);
    }
  }

  /** Keeps every layer's input during the decodes of `work`; `read(layer)` = [tokens][embedding width] of the last one, which had `tokens` tokens. */
  async captureLayerInputs<T>(work: () => Promise<void>, tokens: number, read: (layer: (index: number) => Float32Array) => T): Promise<T> {
    const { addon } = this;
    const { actLayerInput } = addon;
    if (!addon.actSetLayerInputs || !actLayerInput) throw stockBinary("restart at a layer");
    addon.actSetLayerInputs(true);
    try {
      await work();
      return read((layer) => actLayerInput.call(addon, layer, tokens));
    } finally {
      addon.actSetLayerInputs(false);
    }
  }

  async dispose(): Promise<void> {
    await this.addon.dispose();
  }
}

/** Records of [layer, head, exempt or -1, count, positions...]. */
export function readSinks(flat: Int32Array): HeadSinks[] {
  const sinks: HeadSinks[] = [];
  for (let at = 0; at + 3 < flat.length; ) {
    const [layer = 0, head = 0, exempt = -1, count = 0] = flat.subarray(at, at + 4);
    sinks.push({ layer, head, exempt: exempt < 0 ? null : exempt, positions: Array.from(flat.subarray(at + 4, at + 4 + count)) });
    at += 4 + count;
  }
  return sinks.sort((a, b) => a.layer - b.layer || a.head - b.head);
}

function stockBinary(deed: string): ActError {
  return new ActError(
    "stock-binary",
    `The loaded llama.cpp binary is a stock one and cannot ${deed}; run "npm start" in the repository once to build ours, or reinstall the extension.`,
  );
}
