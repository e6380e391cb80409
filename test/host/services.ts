import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import * as vscode from "vscode";
import type { Services } from "../../src/host/services.js";

export const EXTENSION = "act.act-vscode";

/** What activation returned: the parts of the running extension. */
export async function services(): Promise<Services> {
  const extension = vscode.extensions.getExtension<Services>(EXTENSION);
  assert.ok(extension, `${EXTENSION} is not installed in this host`);
  return await extension.activate();
}

export function workspaceFolder(): string {
  const folder = vscode.workspace.workspaceFolders?.[0];
  assert.ok(folder, "the suite needs a folder");
  return folder.uri.fsPath;
}

/** Sets one of our settings for the test and gives back what undoes it. */
export async function withSetting<T>(name: string, value: unknown, body: () => Promise<T>): Promise<T> {
  const configuration = () => vscode.workspace.getConfiguration("act");
  const before = configuration().inspect(name)?.globalValue;
  await configuration().update(name, value, vscode.ConfigurationTarget.Global);
  try {
    return await body();
  } finally {
    await configuration().update(name, before, vscode.ConfigurationTarget.Global);
  }
}

/** Opens a file of the workspace with this text; ‸ is where the cursor goes. */
export async function openWith(name: string, text: string): Promise<vscode.TextEditor> {
  const file = join(workspaceFolder(), name);
  const at = text.indexOf("‸");
  writeFileSync(file, text.replace("‸", ""));
  const document = await vscode.workspace.openTextDocument(vscode.Uri.file(file));
  const editor = await vscode.window.showTextDocument(document);
  if (document.getText() !== text.replace("‸", "")) await vscode.commands.executeCommand("workbench.action.files.revert");
  const position = document.positionAt(Math.max(0, at));
  editor.selection = new vscode.Selection(position, position);
  return editor;
}
