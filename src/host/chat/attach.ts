import { randomUUID } from "node:crypto";
import * as vscode from "vscode";
import type { Attachment, ChatToHost } from "../../protocol/chat.js";
import { shownPath } from "../completions/pauses.js";
import type { Privacy } from "../privacy.js";

export type Attach = Extract<ChatToHost, { type: "attach" }>["kind"];

const MAX_CHARACTERS = 400_000;

/** Makes an attachment of what the user points at, or says why not. */
export async function attach(kind: Attach, privacy: Privacy): Promise<Attachment | null> {
  if (kind === "file") {
    const uri = await pickFile();
    return uri ? await fromFile(uri, privacy) : null;
  }
  const editor = vscode.window.activeTextEditor;
  if (!editor) return refuse("Open a file in the editor first: what is added comes from there.");
  if (kind === "open-file") return await fromFile(editor.document.uri, privacy);
  const refused = await privacy.reason(editor.document.uri);
  if (refused) return refuse(refused);
  return kind === "selection" ? fromSelection(editor) : fromProblems(editor.document);
}

async function fromFile(uri: vscode.Uri, privacy: Privacy): Promise<Attachment | null> {
  const refused = await privacy.reason(uri);
  if (refused) return refuse(refused);
  let document: vscode.TextDocument;
  try {
    document = await vscode.workspace.openTextDocument(uri);
  } catch {
    return refuse(`${shownPath(uri)} cannot be read as text.`);
  }
  const text = document.getText();
  if (text.includes("\0")) return refuse(`${shownPath(uri)} looks binary, so it cannot go into a prompt.`);
  if (text.length > MAX_CHARACTERS)
    return refuse(`${shownPath(uri)} is too long for a prompt (${text.length} characters). Select the part that matters and add that.`);
  return attachment("file", shownPath(uri), uri, document.languageId, text);
}

function fromSelection({ document, selection }: vscode.TextEditor): Attachment | null {
  if (selection.isEmpty) return refuse("Nothing is selected in the editor.");
  const [first, last] = [selection.start.line + 1, selection.end.line + 1];
  const lines = first === last ? `line ${first}` : `lines ${first} to ${last}`;
  return attachment("selection", `${shownPath(document.uri)}, ${lines}`, document.uri, document.languageId, document.getText(selection));
}

function fromProblems(document: vscode.TextDocument): Attachment | null {
  const problems = vscode.languages.getDiagnostics(document.uri);
  if (problems.length === 0) return refuse(`There are no problems in ${shownPath(document.uri)}.`);
  const text = problems.map((p) => {
    const line = document.lineAt(Math.min(p.range.start.line, document.lineCount - 1)).text.trim();
    return `- line ${p.range.start.line + 1} (${vscode.DiagnosticSeverity[p.severity]}): ${p.message}\n  ${line}`;
  });
  return attachment("problems", shownPath(document.uri), document.uri, document.languageId, text.join("\n"));
}

function attachment(kind: Attachment["kind"], label: string, uri: vscode.Uri, languageId: string, text: string): Attachment {
  return { id: randomUUID(), kind, label, path: uri.fsPath, languageId, text, tokens: null };
}

async function pickFile(): Promise<vscode.Uri | undefined> {
  const files = await vscode.workspace.findFiles("**/*", "**/{node_modules,.git,dist,out,build}/**", 2000);
  const items = files.map((uri) => ({ label: shownPath(uri), uri })).sort((a, b) => a.label.localeCompare(b.label));
  if (items.length === 0) return void refuse("There is no folder open to choose a file from.");
  return (await vscode.window.showQuickPick(items, { title: "Add a file to the question", matchOnDescription: true }))?.uri;
}

function refuse(reason: string): null {
  void vscode.window.showWarningMessage(reason);
  return null;
}
