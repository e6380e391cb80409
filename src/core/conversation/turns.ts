import type { Attachment, Conversation, Turn } from "../../protocol/chat.js";
import type { ChatMessage } from "../../protocol/engine.js";

/** The messages of a conversation up to and with the question of `last`: each earlier turn with the answer that was chosen. */
export function messagesOf(turns: readonly Turn[], last: Pick<Turn, "question" | "attachments">): ChatMessage[] {
  const messages: ChatMessage[] = [];
  for (const turn of heard(turns)) {
    messages.push({ role: "user", content: questionText(turn) });
    messages.push({ role: "assistant", content: turn.answers[turn.chosen]?.text ?? "" });
  }
  messages.push({ role: "user", content: questionText(last) });
  return messages;
}

/** The prompt that a turn's answers were given to, without what was left out of it then. */
export function promptOf(turns: readonly Turn[], turn: Turn): ChatMessage[] {
  return messagesOf(heard(turns.slice(0, turns.indexOf(turn))).slice(turn.leftOut), turn);
}

/** How many turns the message indices that the engine left out belong to. */
export function turnsLeftOut(dropped: readonly number[]): number {
  return new Set(dropped.map((index) => Math.floor(index / 2))).size;
}

/** Turns that the model has seen: not those whose question was refused as too long. */
function heard(turns: readonly Turn[]): Turn[] {
  return turns.filter(({ answers }) => answers.length === 0 || answers.some(({ refused }) => !refused));
}

export function questionText({ question, attachments }: Pick<Turn, "question" | "attachments">): string {
  return [...attachments.map(attachmentText), question].join("\n\n");
}

export function attachmentText({ kind, label, languageId, text }: Pick<Attachment, "kind" | "label" | "languageId" | "text">): string {
  if (kind === "problems") return `Problems in ${label}:\n${text}`;
  // A fence longer than any in the text, so that the text cannot end it.
  const longest = Math.max(2, ...Array.from(text.matchAll(/`+/g), ([run]) => run.length));
  const fence = "`".repeat(longest + 1);
  return `${kind === "file" ? "File" : kind === "symbol" ? "Symbol" : "From"} ${label}:\n${fence}${languageId}\n${text.replace(/\n$/, "")}\n${fence}`;
}

/** The first line of the first question, short enough for a list. */
export function titleOf(conversation: Pick<Conversation, "turns">): string {
  const line = conversation.turns[0]?.question.trim().split("\n")[0] ?? "";
  if (line === "") return "New conversation";
  const characters = Array.from(line);
  return characters.length <= 48 ? line : `${characters.slice(0, 47).join("").trimEnd()}…`;
}
