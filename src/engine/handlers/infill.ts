import { infillPrompt } from "../../core/completion/prompt.js";
import type { InfillParams, InfillResult } from "../../protocol/engine.js";
import type { Handler } from "../engine.js";
import { generate } from "../run/generate.js";
import type { Model } from "../run/model.js";

const DEFAULT_MAX_TOKENS = 64;
const DEFAULT_PROMPT_TOKENS = 1024;

export const infill: Handler<"infill"> = async (engine, params, call) => {
  return await engine.queue.run("infill", "typing", call.signal, async (turn) => {
    const maxTokens = params.maxTokens ?? DEFAULT_MAX_TOKENS;
    const { prompt, form } = infillTokens(engine.model, params);
    const onText = (text: string) => call.progress({ text });
    const result = await generate(engine, turn, {
      owner: "infill",
      prompt,
      calibration: params.calibration,
      sampling: { ...params, maxTokens },
      onText,
    });
    return { ...result, form };
  });
};

/** The tokens that an infill request is answered from, cut to its budget. */
export function infillTokens(
  { native, info }: Model,
  params: Omit<InfillParams, "calibration">,
): { prompt: number[]; form: InfillResult["form"] } {
  const maxTokens = params.maxTokens ?? DEFAULT_MAX_TOKENS;
  const budget = Math.max(16, Math.min(params.maxPromptTokens ?? DEFAULT_PROMPT_TOKENS, info.contextSize - maxTokens));
  const vocabulary = {
    tokenize: (text: string) => native.tokenize(text, false),
    bos: native.bos,
    infill: native.infillTokens,
    fileSeparator: native.specialToken("<|file_sep|>") ?? native.specialToken("<file_sep>"),
  };
  const { tokens, form } = infillPrompt(params, vocabulary, budget);
  // An empty file without fill-in tokens leaves nothing to go on from; a newline is what a file starts after.
  return { prompt: tokens.length > 0 ? tokens : native.tokenize("\n", false), form };
}
