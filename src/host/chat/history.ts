import * as vscode from "vscode";
import type { Conversation } from "../../protocol/chat.js";
import type { Conversations } from "./conversations.js";

interface Item extends vscode.QuickPickItem {
  id: string;
  text: string;
}

const RENAME: vscode.QuickInputButton = { iconPath: new vscode.ThemeIcon("edit"), tooltip: "Rename" };
const DELETE: vscode.QuickInputButton = { iconPath: new vscode.ThemeIcon("trash"), tooltip: "Delete" };

/** The list of conversations: newest first, found by any word that was said in them, with buttons to rename and delete. */
export function showHistory(conversations: Conversations): void {
  const pick = vscode.window.createQuickPick<Item>();
  const fill = () => {
    const words = pick.value.toLowerCase().split(/\s+/).filter(Boolean);
    pick.items = conversations.list
      .filter(({ turns, draft }) => turns.length > 0 || draft !== "")
      .map(itemOf)
      .filter(({ text }) => words.every((word) => text.includes(word)));
  };
  pick.title = "Conversations";
  pick.placeholder = "Search in titles, questions and answers";
  pick.onDidChangeValue(fill);
  pick.onDidAccept(() => {
    const [chosen] = pick.selectedItems;
    if (chosen) conversations.open(chosen.id);
    pick.hide();
  });
  pick.onDidTriggerItemButton(async ({ button, item }) => {
    if (button === RENAME) await rename(conversations, item.id);
    else await remove(conversations, item.id);
    fill();
    pick.show();
  });
  const listening = conversations.onDidChange(fill);
  pick.onDidHide(() => {
    if (asking) return;
    listening.dispose();
    pick.dispose();
  });
  fill();
  pick.show();
}

/** A question of ours hides the list for a moment. */
let asking = false;

export async function rename(conversations: Conversations, id: string): Promise<void> {
  const conversation = conversations.find(id);
  if (!conversation) return;
  asking = true;
  const title = await vscode.window.showInputBox({
    title: "Rename the conversation",
    value: conversation.title,
    prompt: "Empty: named after its first question",
  });
  asking = false;
  if (title !== undefined) conversations.rename(id, title);
}

/** Deletes it, after a question where there is something to lose. */
export async function remove(conversations: Conversations, id: string): Promise<void> {
  const conversation = conversations.find(id);
  if (!conversation) return;
  if (conversation.turns.length > 0) {
    const yes = "Delete";
    asking = true;
    const answer = await vscode.window.showWarningMessage(`Delete the conversation "${conversation.title}"?`, { modal: true }, yes);
    asking = false;
    if (answer !== yes) return;
  }
  await conversations.delete(id);
}

function itemOf({ id, title, updated, turns }: Conversation): Item {
  const last = turns.at(-1)?.question.trim().split("\n")[0] ?? "";
  const said = turns.flatMap(({ question, answers }) => [question, ...answers.map(({ text }) => text)]);
  return {
    id,
    label: title,
    description: new Date(updated).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" }),
    ...(last !== title && { detail: last }),
    buttons: [RENAME, DELETE],
    // The search is ours: what was said counts, not the label alone.
    alwaysShow: true,
    text: [title, ...said].join("\n").toLowerCase(),
  };
}
