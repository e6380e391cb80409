import type { ChatMessage } from "../../protocol/engine.js";

/** What was kept of a conversation so that its prompt fits, and the indices of what was left out. */
export interface FittedConversation {
  messages: ChatMessage[];
  dropped: number[];
  tokens: number;
  /** `tokens` is an estimate: the conversation is too long to be counted to its end. */
  about: boolean;
}

export interface Counting {
  /** Tokens of the messages as a prompt; exact, and as slow as the prompt is long. */
  exactly(messages: ChatMessage[]): number;
  /** Tokens of one message's own text. Remembered by the caller, so that a long conversation is counted once and not with every turn. */
  roughly(message: ChatMessage): number;
}

/**
 * Leaves out the oldest turns until the prompt fits `budget` tokens. System messages and the last turn always stay; a turn is a user message
 * with everything up to the next one, so no answer and no tool result is left without its question.
 *
 * How many turns fit is guessed from the sizes of single messages, then made exact: with the turns returned the prompt fits, with one more
 * it would not. A prompt is rendered a few times, however long the conversation.
 * Returns the smallest possible conversation where even that does not fit: the caller compares `tokens` with its budget.
 */
export function fitConversation(messages: readonly ChatMessage[], budget: number, count: Counting, drop = true): FittedConversation {
  const turns = turnsOf(messages);
  const sizes = messages.map((message) => count.roughly(message));
  const sizeOf = (turn: readonly number[]) => turn.reduce((sum, index) => sum + (sizes[index] as number), 0);
  const always = messages.flatMap(({ role }, index) => (role === "system" ? [index] : []));
  const turnSizes = turns.map(sizeOf);
  const least = sizeOf(always) + (turnSizes.at(-1) ?? 0);
  const most = drop ? Math.max(0, turns.length - 1) : 0;

  const dropped = (first: number) =>
    turns
      .slice(0, first)
      .flat()
      .sort((a, b) => a - b);
  const kept = (first: number) => {
    const left = new Set(dropped(first));
    return messages.flatMap((_, index) => (left.has(index) ? [] : [index]));
  };
  const keptMessages = (first: number) => kept(first).map((index) => messages[index] as ChatMessage);
  const result = (first: number, tokens: number, about: boolean): FittedConversation => ({
    messages: keptMessages(first),
    dropped: dropped(first),
    tokens,
    about,
  });
  // What is far too long is not rendered at all.
  const all = sizeOf(messages.map((_, index) => index));
  if (most === 0 && all > budget) return result(0, all, true);
  if (least > budget) return result(most, least, true);

  /** How much a template adds to each message; learnt from the first exact count. */
  let overhead = 0;
  const guess = () => {
    let sum = least + overhead * (always.length + (turns.at(-1)?.length ?? 0));
    let first = turns.length - 1;
    for (; first > 0; first--) {
      sum += (turnSizes[first - 1] as number) + overhead * (turns[first - 1] as number[]).length;
      if (sum > budget) break;
    }
    return Math.min(Math.max(0, first), most);
  };
  const counted = new Map<number, number>();
  const tokens = (first: number) => {
    const known = counted.get(first);
    if (known !== undefined) return known;
    const now = count.exactly(keptMessages(first));
    counted.set(first, now);
    return now;
  };
  let first = guess();
  overhead = Math.max(0, tokens(first) - sizeOf(kept(first))) / Math.max(1, kept(first).length);
  first = guess();
  while (first < most && tokens(first) > budget) first++;
  const possible = (earlier: number) => sizeOf(kept(earlier)) <= budget && tokens(earlier) <= budget;
  while (first > 0 && tokens(first) <= budget && possible(first - 1)) first--;
  return result(first, tokens(first), false);
}

function turnsOf(messages: readonly ChatMessage[]): number[][] {
  const turns: number[][] = [];
  messages.forEach((message, index) => {
    if (message.role === "system") return;
    if (message.role === "user" || turns.length === 0) turns.push([index]);
    else turns.at(-1)?.push(index);
  });
  return turns;
}
