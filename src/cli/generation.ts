import * as v from "valibot";
import type { CompletionResult, SamplingParams } from "../protocol/engine.js";
import { SamplingSchema } from "../protocol/requests/generate.js";
import { type Flags, number } from "./arguments.js";
import type { Outcome } from "./command.js";
import type { FlagTable } from "./flags.js";

/** What `complete` and `infill` share: sampling flags and how a result is shown. */
const { entries } = SamplingSchema;
export const samplingFlags = {
  "max-tokens": { value: "N", does: "most tokens to write", schema: v.unwrap(entries.maxTokens), default: "256" },
  temperature: { value: "X", does: "0 takes the likeliest token, more varies more", schema: v.unwrap(entries.temperature), default: "0" },
  "top-k": { value: "N", does: "sample among the N likeliest tokens; 0 is all", schema: v.unwrap(entries.topK) },
  "top-p": { value: "X", does: "sample among the likeliest tokens that hold this share", schema: v.unwrap(entries.topP) },
  "min-p": { value: "X", does: "leave out tokens below this share of the likeliest", schema: v.unwrap(entries.minP) },
  "repeat-penalty": { value: "X", does: "above 1 makes repeated tokens less likely", schema: v.unwrap(entries.repeatPenalty) },
  seed: { value: "N", does: "seed of the sampling", schema: v.unwrap(entries.seed) },
  stop: { value: "TEXT", does: "end where this text is written", many: true },
} satisfies FlagTable;

export function samplingOf(flags: Flags): SamplingParams {
  const stop = flags.stop as string[] | undefined;
  const given: SamplingParams = {
    maxTokens: number(flags, "max-tokens"),
    temperature: number(flags, "temperature"),
    topK: number(flags, "top-k"),
    topP: number(flags, "top-p"),
    minP: number(flags, "min-p"),
    repeatPenalty: number(flags, "repeat-penalty"),
    seed: number(flags, "seed"),
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
