import type { Calibration } from "../../protocol/calibration.js";
import type { HeadSinks } from "../../protocol/engine.js";
import { ActError } from "../../protocol/errors.js";
import type { AddonContext, ColumnMeans, ContextOptions, DecodeBatch, HeadWindow } from "./addon.js";
import { lostDevice } from "./lost-device.js";
import type { NativeModel } from "./native.js";
import type { Sampler } from "./sampler.js";

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

  /** Parts that the last decode's graph was cut into, one device each; 0 with a stock binary, which does not tell. */
  get graphSplits(): number {
    return this.addon.actGraphSplits?.() ?? 0;
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
    } catch (error) {
      const { backend } = this.model;
      const lost = lostDevice(error, backend.name);
      if (!lost) throw error;
      backend.lost = true;
      throw lost;
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

  /** Hidden state behind the last layer, after its norm, of the last decode's last token. The context must have been made with `embeddings`. */
  lastHiddenState(tokens: number): Float32Array {
    return Float32Array.from(this.addon.getEmbedding(tokens));
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
      ...(calibration.betas && { betas: Float32Array.from(calibration.betas) }),
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

  /**
   * Every decode during `work` keeps what a backward pass needs, which `backward` then runs. The context must have one sequence and FlashAttention.
   * Switching it on and off plans llama.cpp's buffers anew, so `work` holds many prompts.
   */
  async withGradients<T>(work: () => Promise<T>): Promise<T> {
    const { addon } = this;
    if (!addon.actSetGradient) throw stockBinary("compute gradients");
    addon.actSetGradient(true);
    try {
      return await work();
    } finally {
      addon.actSetGradient(false);
    }
  }

  /**
   * During `work`, products of quantised weights take activations as they are, not rounded to 8 bits. Rounding hides what a single head does to one
   * prompt: it moves a margin by up to about 0.1, many heads move it less. CPU only; about as fast.
   */
  async withExactProducts<T>(work: () => Promise<T>): Promise<T> {
    const { addon } = this;
    if (!addon.actSetExact) throw stockBinary("compute exact products");
    addon.actSetExact(true);
    try {
      return await work();
    } finally {
      addon.actSetExact(false);
    }
  }

  /**
   * The backward pass of the last decode: dLoss/dg of every head, g = 1 - beta, [layer][head]; 0 for heads that were not calibrated (calibrate a head
   * with beta 1 to learn its slope at "off") or have no second sink. Null where aborted.
   * @param dLogits dLoss/dlogits of the tokens whose logits were kept, in the order of the batch, [outputs][vocabulary]
   * @throws ActError `unsupported` where this model's graph has no backward pass, saying why
   */
  async backward(dLogits: Float32Array, signal?: AbortSignal): Promise<Float32Array | null> {
    const { addon } = this;
    if (!addon.actBackward) throw stockBinary("compute gradients");
    const abort = () => addon.actAbort?.();
    signal?.addEventListener("abort", abort, { once: true });
    try {
      return signal?.aborted ? null : await addon.actBackward(dLogits);
    } catch (error) {
      throw new ActError("unsupported", (error as Error).message, { cause: error });
    } finally {
      signal?.removeEventListener("abort", abort);
    }
  }

  /** Bytes of the last backward pass. */
  get gradientBytes(): number {
    return this.addon.actGradientSize?.() ?? 0;
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

function stockBinary(what: string): ActError {
  return new ActError(
    "stock-binary",
    `The loaded llama.cpp binary is a stock one and cannot ${what}; run "npm start" in the repository once to build ours, or reinstall the extension.`,
  );
}
