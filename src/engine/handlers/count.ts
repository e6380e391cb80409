import { ActError } from "../../protocol/errors.js";
import { checkTokens } from "../check.js";
import type { Handler } from "../engine.js";
import { fitChat } from "./chat.js";

/** Token counts, and what of a conversation would be left out; needs the tokenizer only, so it does not wait for the model's turn. */
export const count: Handler<"count"> = async (engine, { text, messages, ...params }) => {
  if ((text === undefined) === (messages === undefined)) throw new ActError("usage", "Give either a text or messages to count.");
  const { model } = engine;
  if (messages) {
    const { tokens, dropped, budget } = fitChat(model, messages, params);
    return { tokens, dropped, fits: tokens <= budget };
  }
  const tokens = model.chatPrompt.size({ role: "user", content: text ?? "" }, model.info.contextSize);
  return { tokens, dropped: [], fits: tokens <= model.info.contextSize };
};

export const tokenize: Handler<"tokenize"> = async (engine, { text, special }) => {
  const { model } = engine;
  const tokens = model.native.tokenize(text, special ?? false);
  return { tokens, texts: model.texts(tokens) };
};

export const tokenTexts: Handler<"tokenTexts"> = async (engine, { tokens }) => {
  const { model } = engine;
  checkTokens(tokens, model.info.vocabulary, "token list");
  return { texts: model.texts(tokens) };
};
