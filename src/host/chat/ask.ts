import type { ChatMessage, ChatParams, ChatResult } from "../../protocol/engine.js";
import { ActError } from "../../protocol/errors.js";
import type { Services } from "../services.js";

/** What everything in this folder needs. */
export type ChatServices = Pick<Services, "context" | "engine" | "settings" | "sets" | "privacy" | "log">;

export interface Question {
  messages: ChatMessage[];
  tools?: ChatParams["tools"];
  /** Whose cached prefix it goes on with. */
  conversation: string;
  overflow: NonNullable<ChatParams["overflow"]>;
  /** With the head set, without it, or as the set for chats is switched. */
  act: boolean | "as switched";
}

/**
 * Asks the model in a chat: the view, `@act` and VS Code's own chat all come here.
 * @throws ActError `head-set` where the head set is wanted and cannot be applied, and what the engine says
 */
export async function ask(
  { engine, settings, sets }: ChatServices,
  { act, ...question }: Question,
  { signal, onText }: { signal: AbortSignal; onText(text: string): void },
): Promise<ChatResult> {
  const set = sets.for("chat");
  await set.ready();
  const model = await engine.model(signal);
  const unavailable = act === true ? set.unavailable(model) : null;
  if (unavailable) throw new ActError("head-set", unavailable);
  const calibration = act ? set.calibration(model) : null;
  const params = { ...question, maxTokens: settings.get("chat.maxTokens"), temperature: settings.get("chat.temperature"), calibration };
  return await engine.request("chat", params, { signal, onProgress: ({ text }) => onText(text) });
}
