import { fitConversation } from "../../core/conversation/fit.js";
import { parseToolCalls } from "../../core/conversation/tool-calls.js";
import { ActError } from "../../protocol/errors.js";
import type { Handler } from "../engine.js";
import { generate } from "../run/generate.js";

/** Room that is kept for an answer when a conversation is fitted into the context. */
const ANSWER_RESERVE = 256;

export const chat: Handler<"chat"> = async (engine, params, call) => {
  return await engine.queue.run("chat", "request", call.signal, async (turn) => {
    const { model } = engine;
    const { contextSize } = model.info;
    const reserve = Math.min(params.maxTokens ?? ANSWER_RESERVE, ANSWER_RESERVE, contextSize >> 1);
    const budget = contextSize - reserve;
    const { tools } = params;
    if (tools && tools.length > 0 && !model.info.tools)
      throw new ActError("unsupported", `The chat template of ${model.info.name} has no place for tools.`);
    const encode = (messages: typeof params.messages) => model.encodeChat(messages, tools);
    const fitted = fitConversation(
      params.messages,
      params.overflow === "drop-oldest" ? budget : Number.POSITIVE_INFINITY,
      (messages) => encode(messages).length,
    );
    if (fitted.tokens > budget)
      throw new ActError(
        "context-overflow",
        `The conversation has ${fitted.tokens} tokens, but the context holds ${contextSize} and ${reserve} are kept for the answer. Shorten the message, start a new conversation, or let the oldest turns be left out.`,
      );
    const result = await generate(engine, turn, {
      owner: `chat ${params.conversation ?? ""}`,
      prompt: encode(fitted.messages),
      calibration: params.calibration,
      sampling: { ...params, maxTokens: params.maxTokens ?? contextSize },
      onText: (text) => call.progress({ text }),
    });
    const { text, calls } =
      tools && tools.length > 0
        ? parseToolCalls(
            result.text,
            tools.map((tool) => tool.name),
          )
        : { text: result.text, calls: [] };
    return { ...result, text, toolCalls: calls, dropped: fitted.dropped };
  });
};
