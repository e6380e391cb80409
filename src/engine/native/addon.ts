import type { LoadParams } from "../../protocol/engine.js";
import type { OpBindings } from "./op.js";

/** Shapes of the objects that node-llama-cpp's addon offers, as far as the engine uses them. */

/** The addon's context: stock methods, and ours (all optional: a stock binary has none). */
export interface AddonContext {
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
  /** The hidden state behind the last layer of the batch's last token, in a context with `embeddings`. */
  getEmbedding(tokens: number): Float64Array;
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
  actGraphSplits?(): number;
  actSetGradient?(on: boolean): void;
  actSetExact?(on: boolean): void;
  actBackward?(dLogits: Float32Array): Promise<Float32Array | null>;
  actGradientSize?(): number;
  actLayerInput?(layer: number, tokens: number): Float32Array;
}
export interface NativeCalibration {
  method: 0 | 1;
  beta: number;
  /** One for each head; absent: `beta` for all. */
  betas?: Float32Array;
  thresholdMode: 0 | 1;
  threshold: number;
  statistics: 0 | 1;
  /** layer, head, layer, head... */
  heads: Int32Array;
}
export interface AddonSampler {
  dispose(): void;
  applyConfig(config: Record<string, unknown>): void;
}
export interface AddonModel {
  init(): Promise<boolean>;
  tokenize(text: string, special: boolean): Uint32Array;
  detokenize(tokens: Uint32Array, special: boolean): string;
  getTotalParameters(): number;
  getModelSize(): number;
  getTrainContextSize(): number;
  getTokenAttributes(token: number): number;
  isEogToken(token: number): boolean;
}
export interface Bindings extends Partial<OpBindings> {
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
  /** Hidden states are kept; llama.cpp then computes the logits of every token, so only work that needs them asks for it. */
  embeddings?: boolean;
}
