import type { CompletionResult, SamplingParams } from "../protocol/engine.js";
import { count, type FlagDefinitions, type Flags, number } from "./arguments.js";
import type { Outcome } from "./command.js";

/** What `complete` and `infill` share: sampling flags and how a result is shown. */
export const samplingFlags: FlagDefinitions = {
  "max-tokens": { type: "string" },
  temperature: { type: "string" },
  "top-k": { type: "string" },
  "top-p": { type: "string" },
  "min-p": { type: "string" },
  "repeat-penalty": { type: "string" },
  seed: { type: "string" },
  stop: { type: "string", multiple: true },
};

export function samplingOf(flags: Flags): SamplingParams {
  const stop = flags.stop as string[] | undefined;
  const given: SamplingParams = {
    maxTokens: count(flags, "max-tokens"),
    temperature: number(flags, "temperature", { min: 0, max: 10 }),
    topK: number(flags, "top-k", { min: 0, whole: true }),
    topP: number(flags, "top-p", { min: 0, max: 1 }),
    minP: number(flags, "min-p", { min: 0, max: 1 }),
    repeatPenalty: number(flags, "repeat-penalty", { min: 0.01, max: 10 }),
    seed: number(flags, "seed", { min: 0, max: 4294967295, whole: true }),
    stop,
  };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}

/** The text itself was streamed; what is left to say goes to standard error. */
export function generationOutcome(result: CompletionResult, note: (text: string) => void): Outcome {
  const { promptTokens, generatedTokens, prefillTokensPerSecond, decodeTokensPerSecond, firstTokenMs } = result.timings;
  note(
    `\n${promptTokens} tokens read at ${prefillTokensPerSecond.toFixed(0)}/s, ${generatedTokens} written at ${decodeTokensPerSecond.toFixed(1)}/s, the first after ${firstTokenMs.toFixed(0)} ms.`,
  );
  return { json: result, text: "" };
}
