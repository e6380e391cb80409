import { type Calibration, eligibleHeads } from "../../protocol/calibration.js";
import type { ChatMessage, LoadParams, ModelInfo, PromptParams, ToolDefinition } from "../../protocol/engine.js";
import { ActError } from "../../protocol/errors.js";
import { availableMemory } from "../../store/free-memory.js";
import { checkCalibration, checkTokens } from "../check.js";
import { ChatPrompt } from "../handlers/chat-prompt.js";
import { cacheBytes, computeBytes, fitContext, type Shape } from "../native/memory.js";
import type { Backend, NativeContext, NativeModel } from "../native/native.js";
import { Sequence } from "./sequence.js";

/** Tokens of one interactive ubatch: long enough to be fast, short enough that a cancelled prefill is soon over. */
const INTERACTIVE_UBATCH = 512;
/** Longest prompt that is evaluated as one segment unless the caller asks for more. */
const DEFAULT_SEGMENT = 4096;
/** One KV stream for typing, two for conversations (the two sides of a compare). */
const DEFAULT_SEQUENCES = 3;
/** The longest tokens of the vocabularies in use are runs of this many spaces. */
const MOST_CHARACTERS_PER_TOKEN = 256;
/** A segment context larger than this is not kept for the next request. */
const MOST_SPARE_BYTES = 512 * 2 ** 20;
const CONTEXT_SLACK = 64 * 2 ** 20;

interface Slot {
  sequence: Sequence;
  owner: string | null;
  busy: boolean;
  used: number;
}

/** What a piece of work needs of a context of its own. */
export interface SegmentNeeds {
  /** Tokens of the longest decode (all sequences together): the ubatch. */
  segment: number;
  /** Cells of each sequence: the prompt and what is decoded after it. Default: `segment`. */
  contextSize?: number;
  sequences?: number;
  /** Overrides of the load parameters. */
  flashAttention?: LoadParams["flashAttention"];
  cacheType?: LoadParams["cacheType"];
  /** Hidden states are wanted: `NativeContext.lastHiddenState`. */
  embeddings?: boolean;
}

/** A loaded model: its tokenizer and template, the interactive context with its sequences, and contexts for whole segments. */
export class Model {
  private interactive: NativeContext | null = null;
  private slots: Slot[] = [];
  /** The last segment context that came back, kept because the next request is likely to need the same. */
  private spare: NativeContext | null = null;
  private clock = 0;
  readonly chatPrompt: ChatPrompt;

  private constructor(
    readonly native: NativeModel,
    readonly params: Readonly<LoadParams>,
    readonly info: ModelInfo,
    readonly shape: Shape,
  ) {
    this.chatPrompt = new ChatPrompt(native);
  }

  /**
   * Loads a model whose file was checked before. `shape` comes from the file's header, so that memory is judged before anything is read.
   * @throws ActError `model-memory`, `model-file`, `unsupported`, `cancelled`
   */
  static async load(
    backend: Backend,
    params: LoadParams,
    file: { sha256: string; bytes: number; shape: Shape; trainContext: number; backendReason: string },
    onProgress: (fraction: number) => void,
    signal: AbortSignal,
  ): Promise<Model> {
    const { shape, trainContext } = file;
    const sequences = params.sequences ?? DEFAULT_SEQUENCES;
    const cacheType = params.cacheType ?? "f16";
    const interactiveUbatch = params.ubatch ?? INTERACTIVE_UBATCH;
    const contextNeed = (contextSize: number) =>
      sequences === 0
        ? 0
        : cacheBytes(shape, contextSize * sequences, cacheType) + computeBytes(shape, Math.min(interactiveUbatch, contextSize));
    // On a GPU the weights and the cache live there; llama.cpp itself decides how many layers fit.
    const available = backend.name === "cpu" ? availableMemory() : Number.POSITIVE_INFINITY;
    const contextSize = fitContext(params.contextSize, trainContext, (size) => file.bytes + contextNeed(size) + CONTEXT_SLACK, available);

    const native = await backend.loadModel(params.path, params.gpuLayers, onProgress, signal);
    try {
      const support = native.actSupport();
      const info: ModelInfo = {
        path: params.path,
        name: native.name,
        sha256: file.sha256,
        architecture: native.architecture,
        layers: shape.layers,
        heads: shape.heads,
        kvHeads: shape.kvHeads,
        vocabulary: native.vocabulary,
        parameters: native.parameters,
        trainContext: native.trainContext,
        contextSize,
        ubatch: params.ubatch ?? Math.min(contextSize, DEFAULT_SEGMENT),
        backend: backend.name,
        threads: params.threads ?? backend.defaultThreads,
        flashAttention: (params.flashAttention ?? "auto") !== "off",
        infill: native.infillTokens !== null,
        chatTemplate: native.chatTemplate !== null,
        tools: false,
        act:
          support === ""
            ? { supported: true }
            : { supported: false, reason: support ?? "The loaded llama.cpp binary is a stock one; calibration needs ours." },
        memory: { modelBytes: native.bytes, contextBytes: contextNeed(contextSize) },
        backendReason: file.backendReason,
      };
      const model = new Model(native, params, info, shape);
      info.tools = info.chatTemplate && model.chatPrompt.traits.tools;
      if (sequences > 0) {
        const context = await model.openInteractive(sequences);
        info.flashAttention = context.flashAttention;
        info.memory.contextBytes = context.bytes;
      }
      return model;
    } catch (error) {
      await native.dispose();
      throw error;
    }
  }

  /** Token ids of a plain text prompt, with the begin-of-text token where the model wants one. Text like `<|im_end|>` is the control token. */
  encode(text: string): number[] {
    this.checkCharacters(text.length);
    const { bos } = this.native;
    const tokens = this.native.tokenize(text, true);
    return bos === null || tokens[0] === bos ? tokens : [bos, ...tokens];
  }

  encodeChat(messages: readonly ChatMessage[], tools?: readonly ToolDefinition[]): number[] {
    this.checkCharacters(messages.reduce((sum, { content }) => sum + content.length, 0));
    return this.chatPrompt.encode(messages, tools);
  }

  /** Tokens of the prompt of a `logits` or `sinks` request. @throws ActError `usage` unless exactly one form is given and holds a token. */
  promptTokens({ prompt, tokens, messages }: PromptParams): number[] {
    if ([prompt, tokens, messages].filter((form) => form !== undefined).length !== 1)
      throw new ActError("usage", "Give the prompt in exactly one form: text, token ids, or messages.");
    const ids = tokens ?? (messages ? this.encodeChat(messages) : this.encode(prompt ?? ""));
    checkTokens(ids, this.info.vocabulary);
    return ids;
  }

  /** Text of each token, control tokens shown. */
  texts(tokens: readonly number[]): string[] {
    return tokens.map((token) => this.native.detokenize([token], true));
  }

  /** @throws ActError `head-set`, `stock-binary`, `unsupported` */
  checkCalibration(calibration: Calibration | null): void {
    checkCalibration(calibration, this.info);
    const { act } = this.info;
    if (!calibration || calibration.heads.length === 0 || act.supported) return;
    throw new ActError(
      this.native.backend.patchSet === null ? "stock-binary" : "unsupported",
      `Calibration cannot be applied to ${this.info.name}: ${act.reason}`,
    );
  }

  get eligibleHeads(): [number, number][] {
    return eligibleHeads(this.info.layers, this.info.heads);
  }

  /**
   * Gives work a KV stream of the interactive context. The same owner gets the same stream again, with what its last prompt left in it;
   * otherwise a free one, or the one that was not used for longest. A stream in use is never taken away.
   */
  async withSequence<T>(owner: string, work: (sequence: Sequence, context: NativeContext) => Promise<T>): Promise<T> {
    const context = this.interactive ?? (await this.openInteractive(Math.max(1, this.params.sequences ?? DEFAULT_SEQUENCES)));
    const free = this.slots.filter((slot) => !slot.busy);
    const slot =
      free.find((one) => one.owner === owner) ?? free.find((one) => one.owner === null) ?? free.sort((a, b) => a.used - b.used)[0];
    if (!slot) throw new ActError("internal", `All ${this.slots.length} sequences of the context are in use.`);
    if (slot.owner !== owner) slot.sequence.truncate(0);
    slot.owner = owner;
    slot.busy = true;
    slot.used = ++this.clock;
    try {
      return await work(slot.sequence, context);
    } finally {
      slot.busy = false;
    }
  }

  /**
   * Gives work a context of its own in which every prompt is one segment. Its sequences start empty and without calibration.
   * @throws ActError `context-overflow` where the segment is longer than the model's limit, `model-memory`
   */
  async withSegments<T>(needs: SegmentNeeds, work: (context: NativeContext) => Promise<T>): Promise<T> {
    const context = await this.openSegments(needs);
    try {
      return await work(context);
    } finally {
      if (this.spare || context.bytes > MOST_SPARE_BYTES) await context.dispose();
      else this.spare = context;
    }
  }

  /** Tokenising is synchronous: a text that cannot possibly fit is refused before it holds up the engine for seconds. */
  private checkCharacters(characters: number): void {
    const { contextSize } = this.info;
    if (characters > contextSize * MOST_CHARACTERS_PER_TOKEN)
      throw new ActError(
        "context-overflow",
        `The prompt has ${characters} characters, far more than a context of ${contextSize} tokens holds. Shorten it.`,
      );
  }

  /** @throws ActError `context-overflow` when `tokens` cannot be in the context together. */
  checkContext(tokens: number): void {
    const { contextSize } = this.info;
    if (tokens > contextSize)
      throw new ActError(
        "context-overflow",
        `The prompt needs ${tokens} tokens, but the context holds ${contextSize}. Shorten it, or load the model with a larger context.`,
      );
  }

  /** @throws ActError `context-overflow` when a prompt of `tokens` cannot be one segment with `extra` tokens decoded after it. */
  checkSegment(tokens: number, extra = 0): void {
    this.checkContext(tokens + extra);
    const { ubatch } = this.info;
    if (tokens > ubatch)
      throw new ActError(
        "context-overflow",
        `The prompt has ${tokens} tokens, but one segment holds ${ubatch}. Shorten it, or load the model with a segment (ubatch) of ${tokens} tokens.`,
      );
  }

  async dispose(): Promise<void> {
    this.slots = [];
    await this.spare?.dispose();
    await this.interactive?.dispose();
    await this.native.dispose();
  }

  private async openInteractive(sequences: number): Promise<NativeContext> {
    const { contextSize } = this.info;
    const context = await this.native.createContext({
      contextSize,
      ubatch: Math.min(this.params.ubatch ?? INTERACTIVE_UBATCH, contextSize),
      sequences,
      threads: this.info.threads,
      flashAttention: this.params.flashAttention ?? "auto",
      cacheType: this.params.cacheType ?? "f16",
    });
    this.interactive = context;
    this.slots = Array.from({ length: sequences }, (_, index) => ({
      sequence: new Sequence(context, index),
      owner: null,
      busy: false,
      used: 0,
    }));
    return context;
  }

  private async openSegments(needs: SegmentNeeds): Promise<NativeContext> {
    const wanted = {
      // Rounded up, so that prompts of about the same length share a context.
      ubatch: roundUp(needs.segment),
      contextSize: roundUp(needs.contextSize ?? needs.segment),
      sequences: needs.sequences ?? 1,
      threads: this.info.threads,
      flashAttention: needs.flashAttention ?? this.params.flashAttention ?? ("auto" as const),
      cacheType: needs.cacheType ?? this.params.cacheType ?? ("f16" as const),
      embeddings: needs.embeddings ?? false,
    };
    const { spare } = this;
    this.spare = null;
    if (spare) {
      const has = spare.options;
      const fits =
        has.ubatch >= wanted.ubatch &&
        has.contextSize >= wanted.contextSize &&
        has.sequences === wanted.sequences &&
        has.flashAttention === wanted.flashAttention &&
        has.cacheType === wanted.cacheType &&
        (has.embeddings ?? false) === wanted.embeddings;
      if (fits) {
        for (let sequence = 0; sequence < has.sequences; sequence++) {
          spare.removeCells(sequence, -1);
          spare.setCalibration(sequence, null);
        }
        return spare;
      }
      await spare.dispose();
    }
    const need =
      cacheBytes(this.shape, wanted.contextSize * wanted.sequences, wanted.cacheType) +
      computeBytes(this.shape, Math.min(wanted.ubatch, DEFAULT_SEGMENT));
    if (this.info.backend === "cpu" && need > availableMemory())
      throw new ActError(
        "model-memory",
        `A segment of ${wanted.ubatch} tokens in ${wanted.sequences} sequences needs about ${Math.ceil(need / 2 ** 20)} MiB more than is free. Use a shorter prompt or fewer sequences.`,
      );
    return await this.native.createContext(wanted);
  }
}

function roundUp(tokens: number): number {
  return Math.ceil(tokens / 256) * 256;
}
