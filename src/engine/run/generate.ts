import { TextStream } from "../../core/conversation/text-stream.js";
import type { Calibration } from "../../protocol/calibration.js";
import type { CompletionResult, SamplingParams } from "../../protocol/engine.js";
import { ActError } from "../../protocol/errors.js";
import type { Engine } from "../engine.js";
import type { NativeModel } from "../native/native.js";
import type { Turn } from "../queue.js";

const DEFAULT_MAX_TOKENS = 256;
/** How far back a repeat penalty looks. */
const PENALTY_WINDOW = 64;

export interface Generation {
  /** Whose KV stream it uses: requests of the same owner take over each other's prefix. */
  owner: string;
  prompt: readonly number[];
  calibration: Calibration | null;
  sampling: SamplingParams;
  /** Control tokens whose text is part of the answer (marks of tool calls); the others have none. */
  visible?: ReadonlySet<number>;
  onText(text: string): void;
}

/**
 * Evaluates a prompt and generates until an end token, a stop string, `maxTokens`, or the end of the context.
 * @throws ActError `context-overflow` when the prompt leaves no room for a token, `cancelled`
 */
export async function generate(
  engine: Engine,
  turn: Turn,
  { owner, prompt, calibration, sampling, visible, onText }: Generation,
): Promise<CompletionResult> {
  const { model } = engine;
  const { contextSize } = model.info;
  if (prompt.length === 0) throw new ActError("usage", "The prompt is empty; it needs at least one token.");
  if (prompt.length >= contextSize)
    throw new ActError(
      "context-overflow",
      `The prompt has ${prompt.length} tokens, but the context holds ${contextSize}. Shorten it, or load the model with a larger context.`,
    );
  model.checkCalibration(calibration);
  return await model.withSequence(owner, async (sequence, context) => {
    const { signal } = turn;
    const begin = performance.now();
    const { reused, output } = await sequence.prefill(prompt, calibration, signal, turn.pause);
    const sampler = model.native.createSampler();
    try {
      const tokens: number[] = [];
      const stream = new TextStream(textOf(model.native, visible), sampling.stop);
      const most = sampling.maxTokens ?? DEFAULT_MAX_TOKENS;
      let stop: CompletionResult["stop"] = "length";
      let index = output;
      let first = 0;
      while (true) {
        sampler.configure({ ...sampling, temperature: sampling.temperature ?? 0, recent: recent(prompt, tokens, sampling) });
        const token = await context.sample(index, sampler);
        if (first === 0) first = performance.now();
        if (model.native.isEndOfGeneration(token)) {
          stop = "end";
          break;
        }
        tokens.push(token);
        const { text, stopped } = stream.push(token);
        if (text !== "") onText(text);
        if (stopped) {
          stop = "stop";
          break;
        }
        if (tokens.length >= most) break;
        if (sequence.length >= contextSize) {
          stop = "context";
          break;
        }
        await turn.pause();
        await sequence.step(token, signal);
        index = 0;
      }
      const rest = stream.end();
      if (rest !== "") onText(rest);
      const end = performance.now();
      const timings = {
        promptTokens: prompt.length,
        reusedTokens: reused,
        generatedTokens: tokens.length,
        prefillTokensPerSecond: rate(prompt.length - reused, first - begin),
        // The first token comes out of the prefill: the steps are one fewer.
        decodeTokensPerSecond: rate(tokens.length - 1, end - first),
        firstTokenMs: first - begin,
        queueMs: turn.waited,
      };
      if (tokens.length > 1) engine.tokensPerSecond = timings.decodeTokensPerSecond;
      return { text: stream.text, tokens, stop, timings };
    } finally {
      sampler.dispose();
    }
  });
}

function textOf(native: NativeModel, visible: ReadonlySet<number> | undefined): (tokens: readonly number[]) => string {
  if (!visible || visible.size === 0) return (tokens) => native.detokenize(tokens);
  const has = (token: number) => visible.has(token) || !native.isControl(token);
  return (tokens) => native.detokenize(tokens.filter(has), true);
}

function rate(tokens: number, milliseconds: number): number {
  return tokens > 0 && milliseconds > 0 ? (tokens / milliseconds) * 1000 : 0;
}

function recent(prompt: readonly number[], tokens: readonly number[], { repeatPenalty }: SamplingParams): number[] {
  if (repeatPenalty === undefined || repeatPenalty === 1) return [];
  return [...prompt.slice(-PENALTY_WINDOW), ...tokens.slice(-PENALTY_WINDOW)].slice(-PENALTY_WINDOW);
}
