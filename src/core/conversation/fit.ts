import type { ChatMessage } from "../../protocol/engine.js";

/** What was kept of a conversation so that its prompt fits, and the indices of what was left out. */
export interface FittedConversation {
  messages: ChatMessage[];
  dropped: number[];
  tokens: number;
}

/**
 * Leaves out the oldest turns until the prompt fits `budget` tokens. System messages and the last turn always stay; a turn is a user message
 * with everything up to the next one, so no answer and no tool result is left without its question.
 * Returns the smallest possible conversation where even that does not fit: the caller compares `tokens` with its budget.
 */
export function fitConversation(
  messages: readonly ChatMessage[],
  budget: number,
  count: (messages: ChatMessage[]) => number,
): FittedConversation {
  const turns: number[][] = [];
  messages.forEach((message, index) => {
    if (message.role === "system") return;
    if (message.role === "user" || turns.length === 0) turns.push([index]);
    else turns.at(-1)?.push(index);
  });
  const dropped = new Set<number>();
  const keep = () => messages.filter((_, index) => !dropped.has(index));
  let tokens = count(keep());
  for (const turn of turns.slice(0, -1)) {
    if (tokens <= budget) break;
    for (const index of turn) dropped.add(index);
    tokens = count(keep());
  }
  return { messages: keep(), dropped: [...dropped].sort((a, b) => a - b), tokens };
}
