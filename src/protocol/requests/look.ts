/** Requests that look inside one prompt, and the sink map they answer, which travels on to the sink panel. */
import * as v from "valibot";
import { ThresholdSchema } from "../calibration.js";
import { count, text, tokenIds, whole } from "./fields.js";
import { ChatMessageSchema, calibration, infillFields } from "./generate.js";

/** A prompt for `logits` and `sinks`: exactly one of the three. */
const promptFields = {
  prompt: v.optional(text),
  tokens: v.optional(tokenIds),
  messages: v.optional(v.array(ChatMessageSchema)),
};
export const PromptSchema = v.object(promptFields);
export type PromptParams = v.InferOutput<typeof PromptSchema>;

export const LogitsSchema = v.object({
  ...promptFields,
  calibration,
  /** A prompt longer than the segment is evaluated in several, statistics running on, instead of being refused. */
  split: v.optional(v.boolean()),
  /** Tokens fed one by one after the prompt (decode steps). */
  forced: v.optional(tokenIds),
});
export type LogitsParams = v.InferOutput<typeof LogitsSchema>;

export const SinksSchema = v.object({
  ...promptFields,
  /** In place of the three: the prompt that `infill` makes of this, token by token. */
  infill: v.optional(v.object(infillFields)),
  calibration,
  threshold: ThresholdSchema,
});
export type SinksParams = v.InferOutput<typeof SinksSchema>;

const index = whole(0);
const floats = v.custom<Float32Array>((value) => value instanceof Float32Array, "must be 32-bit floats");

const HeadSinksSchema = v.object({
  layer: index,
  head: index,
  /** The lowest candidate, never calibrated; null where there is no candidate. */
  exempt: v.nullable(index),
  /** Keys that are calibrated, ascending. */
  positions: v.array(index),
});
export type HeadSinks = v.InferOutput<typeof HeadSinksSchema>;

const TokenProbabilitySchema = v.object({ id: v.number(), text: text, probability: v.number() });
export type TokenProbability = v.InferOutput<typeof TokenProbabilitySchema>;

export const SinkMapSchema = v.pipe(
  v.object({
    /** Handle for `headMatrix`, valid until the next `sinks` request or unload. */
    id: v.string(),
    /** Text of each prompt token. */
    tokens: v.array(v.string()),
    ids: v.array(v.number()),
    layers: index,
    heads: index,
    /** Column means before calibration, row-major [layer][head][key], f32. */
    columnMeans: floats,
    sinks: v.array(HeadSinksSchema),
    /** The likeliest next tokens with and without calibration. */
    next: v.object({ off: v.array(TokenProbabilitySchema), on: v.nullable(v.array(TokenProbabilitySchema)) }),
  }),
  v.check((map) => map.columnMeans.length === map.layers * map.heads * map.tokens.length, "column means must be [layer][head][key]"),
);
export type SinkMap = v.InferOutput<typeof SinkMapSchema>;

const span = v.tuple([index, index]);

export const HeadMatrixParamsSchema = v.object({
  id: v.string(),
  layer: index,
  head: index,
  /** Largest side of the answer; longer prompts are max-pooled. */
  maxSide: whole(1, 4096),
  /** Rows and columns [start, end) to show; default all. */
  rows: v.optional(span),
  columns: v.optional(span),
});
export type HeadMatrixParams = v.InferOutput<typeof HeadMatrixParamsSchema>;

export const HeadMatrixSchema = v.pipe(
  v.object({
    layer: index,
    head: index,
    /** Size of the pooled matrix. */
    rows: index,
    columns: index,
    /** Tokens that one cell covers. */
    pool: count,
    rowStart: index,
    columnStart: index,
    /** Attention before calibration, row-major, f32; NaN above the diagonal. */
    values: floats,
    /** The same after calibration; null where the head is not calibrated. */
    calibrated: v.nullable(floats),
  }),
  v.check((matrix) => matrix.values.length === matrix.rows * matrix.columns, "values must be [row][column]"),
  v.check((matrix) => matrix.calibrated === null || matrix.calibrated.length === matrix.values.length, "calibrated must be [row][column]"),
);
export type HeadMatrix = v.InferOutput<typeof HeadMatrixSchema>;
