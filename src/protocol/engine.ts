/** The contract between the engine and those who use it: requests (their parameters are schemas under requests/), results, progress, events. */
import type * as v from "valibot";
import type { HeadSet } from "./calibration.js";
import type { BackendName } from "./requests/fields.js";
import type { HeadMatrix, HeadSinks, SinkMap } from "./requests/look.js";
import type { requestSchemas } from "./requests/schemas.js";

export type { BenchParams } from "./requests/bench.js";
export type { EvaluateParams, MtBenchParams } from "./requests/evaluate.js";
export type { BackendName } from "./requests/fields.js";
export type {
  ChatMessage,
  ChatParams,
  CompleteParams,
  ContextChunk,
  CountParams,
  InfillParams,
  SamplingParams,
  ToolDefinition,
} from "./requests/generate.js";
export type { LabelParams } from "./requests/label.js";
export type { LoadParams } from "./requests/load.js";
export type {
  HeadMatrix,
  HeadMatrixParams,
  HeadSinks,
  LogitsParams,
  PromptParams,
  SinkMap,
  SinksParams,
  TokenProbability,
} from "./requests/look.js";
export type { CalibrateParams } from "./requests/search.js";

/** Version of this contract; the handshake refuses another one. */
export const PROTOCOL_VERSION = 1;

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

export interface InfillResult extends CompletionResult {
  /** How the prompt was made: the model's own fill-in tokens, or the prefix alone. */
  form: "fill-in-the-middle" | "prefix";
}

export interface ChatResult extends CompletionResult {
  /** Indices of `messages` that were left out so that the prompt fits. */
  dropped: number[];
  toolCalls: { id: string; name: string; arguments: unknown }[];
}

export interface LogitsResult {
  tokens: number[];
  logits: Float32Array;
  /** Sinks of the calibrated heads (of every eligible head with calibration off) in the prompt's last segment. */
  sinks: HeadSinks[];
  /** With `forced`: state after each forced token. */
  decode: { logits: Float32Array; sinks: HeadSinks[] }[];
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

export interface EffectsResult {
  task: string;
  /** `race`: the model's graph has no backward pass, so every head was measured instead; `reason` says why. */
  method: "gradient" | "race";
  reason: string | null;
  prompts: number;
  beta: number;
  /**
   * [layer][head]: change by calibrating that head alone with `beta`, mean over the prompts; above 0 helps. Labels: the margin of the right answer's
   * score; completions: mean log-likelihood of a true token, in nats.
   */
  effects: number[][];
  /** Medians of one prompt; `gradientSeconds` holds forward and backward pass. Null with `race`. */
  gradientSeconds: number | null;
  forwardSeconds: number;
  /** Estimates beside measurements, by (prompt, head) pair; null unless asked for. */
  real: { pairs: number; correlation: number | null; slope: number | null; signAgreement: number | null } | null;
}

export interface GradientResult {
  results: {
    loss: number;
    /** Scores of the answers; of a text or a pair none. */
    scores: number[];
    /** dLoss/dg, g = 1 - beta, [layer][head]; 0 for heads that are not eligible or have no second sink. */
    gradient: number[][];
  }[];
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
  /** `ifeval`: share of all instructions that are followed; the accuracy counts prompts whose instructions all are. */
  instructions?: { baseline: number; calibrated: number };
  /** Fitted on training rows, judged on the same prompts; each against no heads. */
  rivals?: RivalResult[];
  /** What is left of the difference when every shift between labels is taken out. */
  biasFree?: { measure: string; baseline: number; calibrated: number; difference: number; interval: [number, number] };
}

export interface RivalResult {
  name: string;
  n: number;
  accuracy: number;
  difference: number;
  interval: [number, number];
  p: number;
}

export interface EvaluateResult {
  tasks: TaskResult[];
  mean: { baseline: number; calibrated: number; difference: number };
  record: Record<string, unknown>;
}

export interface LabelResult {
  labelled: number;
  /** Rows that were left blank: under the asked confidence, without text, or too long. */
  blank: number;
  /** Of those, the ones that could not be judged. */
  unjudged: number;
  /** Rows that had a label already, which were learned from and kept. */
  marked: number;
  /** Name of the rule that labelled. */
  method: string;
  /** On rows like the labelled ones; `confident`: of those that get at least the asked confidence. */
  expected: { accuracy: number; interval: [number, number]; n: number };
  confident?: { accuracy: number; interval: [number, number]; n: number };
  rivals: RivalResult[];
  out: string;
}

export interface EvaluateProgress {
  task: string;
  done: number;
  total: number;
  promptsPerSecond: number;
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

/** What each method answers. Every request settles: with its result, an ActError, or `engine-gone`. */
export interface EngineResults {
  handshake: EngineInfo;
  load: ModelInfo;
  unload: null;
  /** `dropped` as in `chat`; `fits`: whether `chat` would take it. A text far longer than the context is not counted to its end: `tokens` is then an estimate. */
  count: { tokens: number; dropped: number[]; fits: boolean };
  tokenize: { tokens: number[]; texts: string[] };
  /** Text of each token, control tokens shown. */
  tokenTexts: { texts: string[] };
  complete: CompletionResult;
  infill: InfillResult;
  chat: ChatResult;
  logits: LogitsResult;
  sinks: SinkMap;
  headMatrix: HeadMatrix;
  calibrate: CalibrateResult;
  effects: EffectsResult;
  gradient: GradientResult;
  evaluate: EvaluateResult;
  label: LabelResult;
  mtBench: { files: { path: string; answers: number }[] };
  bench: { rows: BenchRow[] };
}
export type EngineMethod = keyof EngineResults;

/** Requests host or cli -> engine. */
export type EngineRequests = {
  [M in EngineMethod]: { params: v.InferOutput<(typeof requestSchemas)[M]>; result: EngineResults[M] };
};

/** What a running request streams back, by request method. */
export interface EngineProgress {
  load: { fraction: number };
  complete: { text: string };
  infill: { text: string };
  chat: { text: string };
  /** The map as soon as it is known, after one prefill; with a head set, `next.on` takes a second one and comes with the result. */
  sinks: SinkMap;
  calibrate: CalibrateProgress;
  effects: { part: "estimate" | "measure"; done: number; total: number };
  evaluate: EvaluateProgress;
  label: EvaluateProgress;
  mtBench: EvaluateProgress;
  bench: { row: BenchRow };
}

/** Unasked-for notifications engine -> host. */
export interface EngineEvents {
  log: { level: "error" | "warn" | "info" | "debug"; text: string };
  /** Sent every 500 ms; a host that misses ten in a row calls the engine hung. */
  heartbeat: { busy: string | null; queued: number; tokensPerSecond: number | null };
}
