import * as v from "valibot";
import { type Calibration, CalibrationSchema } from "../protocol/calibration.js";
import type { ChatMessage } from "../protocol/engine.js";
import { ActError } from "../protocol/errors.js";

/** What a request must hold before anything of it reaches native code. */

const count = v.pipe(v.number(), v.integer("must be a whole number"), v.minValue(1, "must be at least 1"));
const MessageSchema = v.looseObject({ role: v.picklist(["system", "user", "assistant", "tool"]), content: v.string() });

const sampling = {
  maxTokens: v.optional(count),
  temperature: v.optional(
    v.pipe(v.number(), v.finite("must be a number"), v.minValue(0, "must be at least 0"), v.maxValue(10, "must be at most 10")),
  ),
  topK: v.optional(v.pipe(v.number(), v.integer("must be a whole number"), v.minValue(0, "must be at least 0"))),
  topP: v.optional(v.pipe(v.number(), v.minValue(0, "must be between 0 and 1"), v.maxValue(1, "must be between 0 and 1"))),
  minP: v.optional(v.pipe(v.number(), v.minValue(0, "must be between 0 and 1"), v.maxValue(1, "must be between 0 and 1"))),
  repeatPenalty: v.optional(v.pipe(v.number(), v.minValue(0.01, "must be above 0"), v.maxValue(10, "must be at most 10"))),
  seed: v.optional(
    v.pipe(
      v.number(),
      v.integer("must be a whole number"),
      v.minValue(0, "must be at least 0"),
      v.maxValue(4294967295, "must be below 2^32"),
    ),
  ),
  stop: v.optional(v.array(v.pipe(v.string(), v.minLength(1, "must not be empty")))),
};
const calibration = v.nullable(CalibrationSchema);

const infillPrompt = {
  prefix: v.string(),
  suffix: v.string(),
  path: v.optional(v.string()),
  context: v.optional(v.array(v.looseObject({ path: v.string(), text: v.string() }))),
  maxPromptTokens: v.optional(v.pipe(v.number(), v.integer("must be a whole number"), v.minValue(16, "must be at least 16"))),
  ...sampling,
};

export const schemas = {
  load: v.looseObject({
    path: v.pipe(v.string(), v.minLength(1, "must name a GGUF file")),
    contextSize: v.optional(count),
    sequences: v.optional(v.pipe(v.number(), v.integer("must be a whole number"), v.minValue(0), v.maxValue(64, "must be at most 64"))),
    ubatch: v.optional(count),
    backend: v.optional(v.picklist(["auto", "cpu", "vulkan", "cuda", "metal"], "must be one of auto, cpu, vulkan, cuda, metal")),
    threads: v.optional(
      v.pipe(v.number(), v.integer("must be a whole number"), v.minValue(1, "must be at least 1"), v.maxValue(512, "must be at most 512")),
    ),
    gpuLayers: v.optional(v.pipe(v.number(), v.integer("must be a whole number"), v.minValue(0, "must be at least 0"))),
    flashAttention: v.optional(v.picklist(["on", "off", "auto"], "must be on, off or auto")),
    cacheType: v.optional(v.picklist(["f32", "f16", "q8_0", "q4_0"], "must be one of f32, f16, q8_0, q4_0")),
  }),
  complete: v.looseObject({ prompt: v.string(), calibration, ...sampling }),
  infill: v.looseObject({ ...infillPrompt, calibration }),
  chat: v.looseObject({
    messages: v.pipe(v.array(MessageSchema), v.minLength(1, "must hold at least one message")),
    tools: v.optional(v.array(v.looseObject({ name: v.pipe(v.string(), v.minLength(1)) }))),
    calibration,
    conversation: v.optional(v.string()),
    overflow: v.optional(v.picklist(["error", "drop-oldest"])),
    ...sampling,
  }),
  prompt: v.looseObject({
    prompt: v.optional(v.string()),
    tokens: v.optional(v.array(v.number())),
    messages: v.optional(v.array(MessageSchema)),
    infill: v.optional(v.looseObject(infillPrompt)),
  }),
};

/** @throws ActError `usage` (or `head-set` for a calibration) naming the first field that is wrong. */
export function check(schema: v.GenericSchema, params: unknown): void {
  const result = v.safeParse(schema, params, { abortEarly: true });
  if (result.success) return;
  const issue = result.issues[0];
  const where = v.getDotPath(issue) ?? "request";
  throw new ActError(where.startsWith("calibration") ? "head-set" : "usage", `${where}: ${issue.message}.`);
}

/** What a head set is checked against. */
export interface HeadShape {
  layers: number;
  heads: number;
}

/** @throws ActError `head-set`: heads outside the model, or named twice, or a beta or threshold out of range. */
export function checkCalibration(calibration: Calibration | null, { layers, heads }: HeadShape): void {
  if (!calibration) return;
  check(v.looseObject({ calibration: CalibrationSchema }), { calibration });
  const seen = new Set<string>();
  for (const [layer, head] of calibration.heads) {
    if (layer >= layers || head >= heads)
      throw new ActError(
        "head-set",
        `The head set names head [${layer}, ${head}], but the model has layers 0 to ${layers - 1} with heads 0 to ${heads - 1}.`,
      );
    const key = `${layer},${head}`;
    if (seen.has(key)) throw new ActError("head-set", `The head set names head [${layer}, ${head}] twice.`);
    seen.add(key);
  }
}

/** @throws ActError `usage`: ids that are not whole numbers inside the vocabulary, or none at all. */
export function checkTokens(tokens: readonly number[], vocabulary: number, what = "prompt"): void {
  if (tokens.length === 0) throw new ActError("usage", `The ${what} is empty; it needs at least one token.`);
  const bad = tokens.findIndex((token) => !Number.isInteger(token) || token < 0 || token >= vocabulary);
  if (bad >= 0)
    throw new ActError(
      "usage",
      `Token ${tokens[bad]} at position ${bad} of the ${what} is not an id of this model's vocabulary (0 to ${vocabulary - 1}).`,
    );
}

/** @throws ActError `usage` when the messages cannot be a conversation. */
export function checkMessages(messages: readonly ChatMessage[]): void {
  if (messages.length === 0) throw new ActError("usage", "The conversation is empty; it needs at least one message.");
}
