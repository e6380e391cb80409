import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { getLlama, type Llama, LlamaLogLevel, type LlamaModel, NoBinaryFoundError } from "node-llama-cpp";
import type { BackendName } from "../../protocol/engine.js";
import { ActError } from "../../protocol/errors.js";
import type { AddonModel, Bindings, ContextOptions } from "./addon.js";
import { NativeContext } from "./context.js";
import { Sampler } from "./sampler.js";

/**
 * The only file that imports node-llama-cpp. It drives the addon's own model and context objects, not the library's session classes: one
 * decode here is one llama_decode, so ubatches, sequences and cache cells are exactly what the caller says. Everything that reaches native
 * code is checked before (token ids, positions, head sets), because native code asserts instead of throwing.
 */

export type { ColumnMeans, ContextOptions, DecodeBatch, HeadWindow } from "./addon.js";
export type { NativeContext } from "./context.js";
export type { Sampler, SamplerConfig } from "./sampler.js";

/** ggml's numbers of the cache types. */
const GGML_TYPES = { f32: 0, f16: 1, q4_0: 2, q8_0: 8 } as const;
const CONTROL_ATTRIBUTE = 1 << 3;
/** Characters from which on a text's control tokens are counted before it is tokenised, and the most that are. */
const LONG_TEXT = 50_000;
const MOST_CONTROL_TOKENS = 16_384;
/** What llama.cpp reports as errors when a decode is aborted: that was asked for. */
const ABORTED = /graph_compute_async failed with error 1|compute status: 1$|failed to decode, ret = 2/;

const LEVELS: { [level in LlamaLogLevel]?: "error" | "warn" | "info" } = { fatal: "error", error: "error", warn: "warn", info: "info" };

export type LogListener = (level: "error" | "warn" | "info" | "debug", text: string) => void;

/** One loaded llama.cpp binary. */
export class Backend {
  /** Its device is gone for this process. */
  lost = false;

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
      recent.push(line);
      if (recent.length > 400) recent.splice(0, 200);
      log(ABORTED.test(line) ? "debug" : (LEVELS[level] ?? "debug"), line);
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
      throw new ActError("unsupported", `The backend "${name}" cannot be used: ${why}. Choose another backend, for instance "cpu".`, {
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

  /** GPU devices that this binary sees; none on the CPU. */
  get devices(): string[] {
    return this.name === "cpu" ? [] : this.bindings.getGpuDeviceInfo().deviceNames;
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

export interface InstalledBackend {
  name: BackendName;
  /** Built from our patches, judged by where it lies; `probeBackend` asks the binary itself. */
  ours: boolean;
  /** A file that changes with the binary. */
  file: string;
}

/** Backends that have a binary installed, judged by the folders alone. The CPU comes last. */
export function installedBackends(): InstalledBackend[] {
  const root = dirname(dirname(fileURLToPath(import.meta.resolve("node-llama-cpp"))));
  const platform = process.platform === "win32" ? "win" : process.platform === "darwin" ? "mac" : "linux";
  const found: InstalledBackend[] = [];
  for (const name of ["metal", "cuda", "vulkan", "cpu"] as const) {
    const folder = `${platform}-${process.arch}${name === "cpu" ? "" : `-${name}`}`;
    const build = join(root, "llama", "localBuilds", folder, "Release", "llama-addon.node");
    const stock = join(dirname(root), "@node-llama-cpp", folder, "package.json");
    if (existsSync(build)) found.push({ name, ours: true, file: build });
    else if (existsSync(stock) || name === "cpu") found.push({ name, ours: false, file: stock });
  }
  return found;
}

export class NativeModel {
  private readonly addon: AddonModel;
  private controlTexts: string[] | null = null;
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
    if (special && text.length > LONG_TEXT) this.refuseControlFlood(text);
    return text === "" ? [] : Array.from(this.addon.tokenize(text, special));
  }
  /**
   * llama.cpp's time for control tokens in a text grows with the square of their number: 64,000 hold the process for 20 seconds.
   * @throws ActError `context-overflow`
   */
  private refuseControlFlood(text: string): void {
    this.controlTexts ??= Array.from({ length: this.vocabulary }, (_, id) => id)
      .filter((id) => this.isControl(id))
      .map((id) => this.detokenize([id], true))
      .filter((name) => name !== "");
    let found = 0;
    for (const name of this.controlTexts)
      for (let at = text.indexOf(name); at >= 0 && found <= MOST_CONTROL_TOKENS; at = text.indexOf(name, at + name.length)) found++;
    if (found > MOST_CONTROL_TOKENS)
      throw new ActError(
        "context-overflow",
        `The text holds more than ${MOST_CONTROL_TOKENS} control tokens such as "${this.controlTexts[0]}". Remove them, or shorten it.`,
      );
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
    const { contextSize, sequences, ubatch, threads, flashAttention, cacheType, embeddings } = options;
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
      ...(embeddings && { embeddings }),
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
