import type { Calibration, HeadSet, Method, Statistics, Threshold } from "./calibration.js";

/** Version of this contract; the handshake refuses another one. */
export const PROTOCOL_VERSION = 1;

export type BackendName = "cpu" | "vulkan" | "cuda" | "metal";

export interface BackendInfo {
  name: BackendName;
  /** Whether the binary loaded for this backend holds our op. */
  act: boolean;
  device?: string;
  /** Why it is not available or not ours, in a sentence. */
  reason?: string;
  /** Graph splits that ACT costs on this backend (0 on the CPU and where the op runs on the device). */
  splits?: number;
}

export interface EngineInfo {
  version: string;
  protocol: number;
  llamaCpp: string;
  /** Hash over native-patches that the binary reports; null for a stock binary. */
  patchSet: string | null;
  node: string;
  pid: number;
  backends: BackendInfo[];
}

export interface LoadParams {
  path: string;
  /** Tokens per sequence; default: the model's training context, capped by memory. */
  contextSize?: number;
  /** Sequences that are evaluated side by side, each with a KV stream of its own. */
  sequences?: number;
  /** Longest segment (one ubatch), in tokens. */
  ubatch?: number;
  backend?: BackendName | "auto";
  threads?: number;
  gpuLayers?: number;
  flashAttention?: "on" | "off" | "auto";
  /** KV cache type. */
  cacheType?: "f32" | "f16" | "q8_0" | "q4_0";
}

export interface ModelInfo {
  path: string;
  name: string;
  sha256: string;
  architecture: string;
  layers: number;
  heads: number;
  kvHeads: number;
  vocabulary: number;
  parameters: number;
  trainContext: number;
  contextSize: number;
  ubatch: number;
  backend: BackendName;
  threads: number;
  flashAttention: boolean;
  /** Fill-in-the-middle tokens present. */
  infill: boolean;
  chatTemplate: boolean;
  /** The template renders tool definitions. */
  tools: boolean;
  /** Whether head sets may be applied, and why not. */
  act: { supported: true } | { supported: false; reason: string };
  memory: { modelBytes: number; contextBytes: number };
  /** Why this backend was chosen, or what it fell back from, in a sentence. */
  backendReason: string;
}

export interface SamplingParams {
  maxTokens?: number;
  /** 0 = greedy (default). */
  temperature?: number;
  topK?: number;
  topP?: number;
  minP?: number;
  repeatPenalty?: number;
  seed?: number;
  stop?: string[];
}

export interface Timings {
  promptTokens: number;
  /** Prompt tokens taken over from the KV cache of the request before. */
  reusedTokens: number;
  generatedTokens: number;
  prefillTokensPerSecond: number;
  decodeTokensPerSecond: number;
  /** From the request's turn in the queue to its first token. */
  firstTokenMs: number;
  queueMs: number;
}

export interface CompletionResult {
  text: string;
  tokens: number[];
  stop: "end" | "length" | "stop" | "context";
  timings: Timings;
}

export interface CompleteParams extends SamplingParams {
  prompt: string;
  calibration: Calibration | null;
}

/** A chunk of another file that goes before the infill prompt. */
export interface ContextChunk {
  path: string;
  text: string;
}

export interface InfillParams extends SamplingParams {
  prefix: string;
  suffix: string;
  /** Path of the file, shown to models that were trained with file names. */
  path?: string;
  context?: ContextChunk[];
  /** Prompt budget in tokens; prefix and suffix are cut from the far ends to fit, and `context` is dropped first. */
  maxPromptTokens?: number;
  calibration: Calibration | null;
}

export interface InfillResult extends CompletionResult {
  /** How the prompt was made: the model's own fill-in tokens, or the prefix alone. */
  form: "fill-in-the-middle" | "prefix";
}

export interface ChatMessage {
  role: "system" | "user" | "assistant" | "tool";
  content: string;
  toolCalls?: { id: string; name: string; arguments: unknown }[];
  toolCallId?: string;
}

export interface ToolDefinition {
  name: string;
  description?: string;
  parameters?: unknown;
}

export interface ChatParams extends SamplingParams {
  messages: ChatMessage[];
  tools?: ToolDefinition[];
  calibration: Calibration | null;
  /** Keeps the KV cache of different conversations apart (and the two sides of a compare). */
  conversation?: string;
  /** `error` (default): a conversation that does not fit is refused; `drop-oldest`: oldest turns after the system message are left out, and named in the result. */
  overflow?: "error" | "drop-oldest";
}

export interface ChatResult extends CompletionResult {
  /** Indices of `messages` that were left out so that the prompt fits. */
  dropped: number[];
  toolCalls: { id: string; name: string; arguments: unknown }[];
}

export interface CountParams {
  text?: string;
  messages?: ChatMessage[];
}

/** A prompt for `logits` and `sinks`: exactly one of the three. */
export interface PromptParams {
  prompt?: string;
  tokens?: number[];
  messages?: ChatMessage[];
}

export interface HeadSinks {
  layer: number;
  head: number;
  /** The lowest candidate, never calibrated; null where there is no candidate. */
  exempt: number | null;
  /** Keys that are calibrated, ascending. */
  positions: number[];
}

export interface LogitsParams extends PromptParams {
  calibration: Calibration | null;
  /** A prompt longer than the segment is evaluated in several, statistics running on, instead of being refused. */
  split?: boolean;
  /** Tokens fed one by one after the prompt (decode steps). */
  forced?: number[];
}

export interface LogitsResult {
  tokens: number[];
  logits: Float32Array;
  /** Sinks of the calibrated heads (of every eligible head with calibration off) in the prompt's last segment. */
  sinks: HeadSinks[];
  /** With `forced`: state after each forced token. */
  decode: { logits: Float32Array; sinks: HeadSinks[] }[];
}

export interface SinksParams extends PromptParams {
  /** In place of the three: the prompt that `infill` makes of this, token by token. */
  infill?: Omit<InfillParams, "calibration">;
  calibration: Calibration | null;
  threshold: Threshold;
}

export interface SinkMap {
  /** Handle for `headMatrix`, valid until the next `sinks` request or unload. */
  id: string;
  /** Text of each prompt token. */
  tokens: string[];
  ids: number[];
  layers: number;
  heads: number;
  /** Column means before calibration, row-major [layer][head][key], f32. */
  columnMeans: Float32Array;
  sinks: HeadSinks[];
  /** The likeliest next tokens with and without calibration. */
  next: { off: TokenProbability[]; on: TokenProbability[] | null };
}

export interface TokenProbability {
  id: number;
  text: string;
  probability: number;
}

export interface HeadMatrixParams {
  id: string;
  layer: number;
  head: number;
  /** Largest side of the answer; longer prompts are max-pooled. */
  maxSide: number;
  /** Rows and columns [start, end) to show; default all. */
  rows?: [number, number];
  columns?: [number, number];
}

export interface HeadMatrix {
  layer: number;
  head: number;
  /** Size of the pooled matrix. */
  rows: number;
  columns: number;
  /** Tokens that one cell covers. */
  pool: number;
  rowStart: number;
  columnStart: number;
  /** Attention before calibration, row-major, f32; NaN above the diagonal. */
  values: Float32Array;
  /** The same after calibration; null where the head is not calibrated. */
  calibrated: Float32Array | null;
}

export interface CalibrateParams {
  tasks?: string[];
  /** Folder whose tracked source files make fill-in-the-middle items. */
  workspace?: string;
  data?: string;
  method: Method;
  beta: number;
  threshold: Threshold;
  statistics: Statistics;
  samples?: number;
  confirm?: number;
  exhaustive?: boolean;
  seed: number;
  budgetMinutes?: number;
  journal: string;
  resume: boolean;
  shard?: { index: number; count: number };
  /** Journals of the shards of one search: they are merged into `journal` instead of searching. */
  merge?: string[];
  layers?: [number, number];
}

/** At most ten a second; each is complete in itself for its part, so a lost one does no harm. */
export interface CalibrateProgress {
  part: "baseline" | "choose" | "validate" | "confirm";
  done: number;
  total: number;
  promptsPerSecond: number;
  secondsLeft: number | null;
  forwardPasses: number;
  /** Heads scored or re-scored since the last event. */
  heads: HeadScore[];
  /** `items`: prompts that the difference was measured on so far; without it no difference is shown. */
  best: { name: string; heads: number; difference: number; interval: [number, number]; items?: number } | null;
}

export interface HeadScore {
  layer: number;
  head: number;
  /** Mean change of the graded score against no heads, its 95 % half-width, and items seen. */
  gain: number;
  halfWidth: number;
  items: number;
  state: "racing" | "dropped" | "kept" | "never-live";
}

export interface CalibrateResult {
  headSet: HeadSet;
  /** The verdict in a sentence, with interval and n. */
  verdict: string;
  helps: boolean;
  journal: string;
}

export interface EvaluateParams {
  tasks: string[];
  data?: string;
  shots: number;
  seeds: number;
  limit?: number;
  split?: "test" | "train";
  calibration: Calibration | null;
  contextual?: boolean;
  out?: string;
  resume: boolean;
}

export interface TaskResult {
  name: string;
  n: number;
  shots: number;
  baseline: number;
  calibrated: number;
  difference: number;
  interval: [number, number];
  p: number;
  /** Prompts that did not fit, counted and left out of n. */
  skipped: number;
  /** Multiple choice: accuracy by comparing the letters' logits. */
  letters?: { baseline: number; calibrated: number; difference: number; interval: [number, number]; p: number };
  /** Contextual calibration (Zhao et al. 2021), alone and with the head set. */
  contextual?: { baseline: number; calibrated: number };
}

export interface EvaluateResult {
  tasks: TaskResult[];
  mean: { baseline: number; calibrated: number; difference: number };
  record: Record<string, unknown>;
}

export interface EvaluateProgress {
  task: string;
  done: number;
  total: number;
  promptsPerSecond: number;
}

export interface MtBenchParams {
  data?: string;
  out: string;
  calibration: Calibration | null;
  limit?: number;
  maxTokens?: number;
}

export interface BenchParams {
  /** Default: all. `capture` is measured with `prefill`. */
  phases?: ("prefill" | "decode" | "abort" | "memory" | "splits")[];
  lengths?: number[];
  depths?: number[];
  shares?: number[];
  rounds?: number;
  /** What is measured: time that passed (default), or CPU time of this process, for a machine that does other things meanwhile. */
  clock?: "wall" | "cpu";
}

export interface BenchRow {
  backend: BackendName;
  phase: "prefill" | "decode" | "capture" | "abort" | "memory" | "splits";
  tokens: number;
  headShare: number;
  /**
   * ACT on against off in the same interleaved run: ratio of median speeds (p95 in ms for `abort`, bytes for `memory`). `splits`: how many more
   * parts the graph is cut into, each cut a copy between devices; the interval is the parts without and with.
   */
  ratio: number;
  interval: [number, number];
}

/** Requests host or cli -> engine. Every one settles: result, ActError, or `engine-gone`. */
export interface EngineRequests {
  /** `probe`: load every installed backend to see what it holds (takes a second each); otherwise only the CPU is looked into. */
  handshake: { params: { probe?: boolean }; result: EngineInfo };
  load: { params: LoadParams; result: ModelInfo };
  unload: { params: Record<string, never>; result: null };
  count: { params: CountParams; result: { tokens: number } };
  tokenize: { params: { text: string; special?: boolean }; result: { tokens: number[]; texts: string[] } };
  /** Text of each token, control tokens shown. */
  tokenTexts: { params: { tokens: number[] }; result: { texts: string[] } };
  complete: { params: CompleteParams; result: CompletionResult };
  infill: { params: InfillParams; result: InfillResult };
  chat: { params: ChatParams; result: ChatResult };
  logits: { params: LogitsParams; result: LogitsResult };
  sinks: { params: SinksParams; result: SinkMap };
  headMatrix: { params: HeadMatrixParams; result: HeadMatrix };
  calibrate: { params: CalibrateParams; result: CalibrateResult };
  evaluate: { params: EvaluateParams; result: EvaluateResult };
  mtBench: { params: MtBenchParams; result: { files: { path: string; answers: number }[] } };
  bench: { params: BenchParams; result: { rows: BenchRow[] } };
}
export type EngineMethod = keyof EngineRequests;

/** What a running request streams back, by request method. */
export interface EngineProgress {
  load: { fraction: number };
  complete: { text: string };
  infill: { text: string };
  chat: { text: string };
  /** The map as soon as it is known, after one prefill; with a head set, `next.on` takes a second one and comes with the result. */
  sinks: SinkMap;
  calibrate: CalibrateProgress;
  evaluate: EvaluateProgress;
  mtBench: EvaluateProgress;
  bench: { row: BenchRow };
}

/** Unasked-for notifications engine -> host. */
export interface EngineEvents {
  log: { level: "error" | "warn" | "info" | "debug"; text: string };
  /** Sent every 500 ms; a host that misses ten in a row calls the engine hung. */
  heartbeat: { busy: string | null; queued: number; tokensPerSecond: number | null };
}
