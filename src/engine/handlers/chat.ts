import { fitConversation } from "../../core/conversation/fit.js";
import { CALL_TEXTS, ToolCallStream } from "../../core/conversation/tool-calls.js";
import type { ChatMessage, ChatParams, ChatResult } from "../../protocol/engine.js";
import { ActError } from "../../protocol/errors.js";
import type { Handler } from "../engine.js";
import { generate } from "../run/generate.js";
import type { Model } from "../run/model.js";

/** Room that is kept for an answer when a conversation is fitted into the context. */
const ANSWER_RESERVE = 256;

export const chat: Handler<"chat"> = async (engine, params, call) => {
  return await engine.queue.run("chat", "request", call.signal, async (turn) => {
    const { model } = engine;
    const { tools = [] } = params;
    if (tools.length > 0 && !model.info.tools)
      throw new ActError("unsupported", `The chat template of ${model.info.name} has no place for tools.`);
    const fitted = fitChat(model, params.messages, params);
    if (fitted.tokens > fitted.budget)
      throw new ActError(
        "context-overflow",
        `The ${params.overflow === "drop-oldest" ? "message" : "conversation"} has ${fitted.about ? "about " : ""}${fitted.tokens} tokens, but the context holds ${model.info.contextSize} and ${fitted.reserve} are kept for the answer. Shorten the message or what is attached to it, or start a new conversation.`,
      );
    const generation = {
      owner: `chat ${params.conversation ?? ""}`,
      prompt: model.encodeChat(fitted.messages, tools),
      calibration: params.calibration,
      sampling: { ...params, maxTokens: params.maxTokens ?? model.info.contextSize },
    };
    const shown = (text: string) => {
      if (text !== "") call.progress({ text });
    };
    if (tools.length === 0)
      return { ...(await generate(engine, turn, { ...generation, onText: shown })), toolCalls: [], dropped: fitted.dropped };

    const stream = new ToolCallStream(tools);
    let text = "";
    const take = (released: string) => {
      text += released;
      shown(released);
    };
    const visible = new Set(CALL_TEXTS.flatMap((literal) => model.native.specialToken(literal) ?? []));
    const result = await generate(engine, turn, { ...generation, visible, onText: (more) => take(stream.push(more)) });
    take(stream.end());
    return { ...result, text, toolCalls: stream.calls, dropped: fitted.dropped } satisfies ChatResult;
  });
};

/** What of a conversation goes into the prompt. The one place that decides it: `chat` asks here, and so does `count`. */
export function fitChat(
  model: Model,
  messages: ChatMessage[],
  { tools, maxTokens, overflow }: Pick<ChatParams, "tools" | "maxTokens" | "overflow">,
) {
  const { contextSize } = model.info;
  const reserve = Math.min(maxTokens ?? ANSWER_RESERVE, ANSWER_RESERVE, contextSize >> 1);
  const budget = contextSize - reserve;
  const counting = {
    exactly: (some: ChatMessage[]) => model.encodeChat(some, tools).length,
    roughly: (message: ChatMessage) => model.chatPrompt.size(message, contextSize),
  };
  return { ...fitConversation(messages, budget, counting, overflow === "drop-oldest"), budget, reserve };
}
