import * as v from "valibot";
import { CalibrationSchema } from "../calibration.js";
import { between, count, named, SeedSchema, share, text, tokenIds, whole } from "./fields.js";

export const samplingFields = {
  maxTokens: v.optional(count),
  /** 0 = greedy (default). */
  temperature: v.optional(between(0, 10)),
  topK: v.optional(whole(0)),
  topP: v.optional(share),
  minP: v.optional(share),
  repeatPenalty: v.optional(between(0.01, 10)),
  seed: v.optional(SeedSchema),
  stop: v.optional(v.array(named("not be empty"))),
};
export const SamplingSchema = v.object(samplingFields);
export type SamplingParams = v.InferOutput<typeof SamplingSchema>;

/** What is applied; null = calibration off. */
export const calibration = v.nullable(CalibrationSchema);

export const CompleteSchema = v.object({ ...samplingFields, prompt: text, calibration });
export type CompleteParams = v.InferOutput<typeof CompleteSchema>;

/** A chunk of another file that goes before the infill prompt. */
const ContextChunkSchema = v.object({ path: v.string(), text: text });
export type ContextChunk = v.InferOutput<typeof ContextChunkSchema>;

export const infillFields = {
  ...samplingFields,
  prefix: text,
  suffix: text,
  /** Path of the file, shown to models that were trained with file names. */
  path: v.optional(v.string()),
  context: v.optional(v.array(ContextChunkSchema)),
  /** Prompt budget in tokens; prefix and suffix are cut from the far ends to fit, and `context` is dropped first. */
  maxPromptTokens: v.optional(whole(16)),
};
export const InfillSchema = v.object({ ...infillFields, calibration });
export type InfillParams = v.InferOutput<typeof InfillSchema>;

const ToolCallSchema = v.object({ id: v.string(), name: v.string(), arguments: v.unknown() });

export const ChatMessageSchema = v.object({
  role: v.picklist(["system", "user", "assistant", "tool"]),
  content: text,
  toolCalls: v.optional(v.array(ToolCallSchema)),
  toolCallId: v.optional(v.string()),
});
export type ChatMessage = v.InferOutput<typeof ChatMessageSchema>;

const ToolDefinitionSchema = v.object({
  name: named("name a tool"),
  description: v.optional(v.string()),
  parameters: v.optional(v.unknown()),
});
export type ToolDefinition = v.InferOutput<typeof ToolDefinitionSchema>;

/** What decides which messages go into the prompt. */
const fittingFields = {
  tools: v.optional(v.array(ToolDefinitionSchema)),
  /** `error` (default): a conversation that does not fit is refused; `drop-oldest`: oldest turns after the system message are left out, and named in the result. */
  overflow: v.optional(v.picklist(["error", "drop-oldest"])),
};

export const ChatSchema = v.object({
  ...samplingFields,
  ...fittingFields,
  messages: v.pipe(v.array(ChatMessageSchema), v.minLength(1, "must hold at least one message")),
  calibration,
  /** Keeps the KV cache of different conversations apart (and the two sides of a compare). */
  conversation: v.optional(v.string()),
});
export type ChatParams = v.InferOutput<typeof ChatSchema>;

/** A text, or a conversation as `chat` would get it. */
export const CountSchema = v.object({
  text: v.optional(text),
  messages: v.optional(v.array(ChatMessageSchema)),
  maxTokens: samplingFields.maxTokens,
  ...fittingFields,
});
export type CountParams = v.InferOutput<typeof CountSchema>;

export const TokenizeSchema = v.object({ text: text, special: v.optional(v.boolean()) });
export const TokenTextsSchema = v.object({ tokens: tokenIds });
