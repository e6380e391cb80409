import { ActError } from "../../protocol/errors.js";
import { checkTokens } from "../check.js";
import type { Handler } from "../engine.js";

/** Exact token counts; needs the tokenizer only, so it does not wait for the model's turn. */
export const count: Handler<"count"> = async (engine, { text, messages }) => {
  if ((text === undefined) === (messages === undefined)) throw new ActError("usage", "Give either a text or messages to count.");
  const { model } = engine;
  return { tokens: messages ? model.encodeChat(messages).length : model.native.tokenize(text ?? "", false).length };
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
