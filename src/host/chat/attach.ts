import { randomUUID } from "node:crypto";
import * as vscode from "vscode";
import type { AttachKind, Attachment } from "../../protocol/chat.js";
import { shownPath } from "../completions/pauses.js";
import type { Privacy } from "../privacy.js";

/** Longer texts are refused here: no context holds them, and they would be kept with the conversation. */
const MAX_CHARACTERS = 400_000;

/** A sentence that says why something cannot be added. */
export class Refusal extends Error {}

/** What the user points at, as an attachment. @throws Refusal */
export async function attach(kind: Exclude<AttachKind, "file">, privacy: Privacy): Promise<Attachment> {
  const editor = vscode.window.activeTextEditor;
  if (!editor) throw new Refusal("Open a file in the editor first: what is added comes from there.");
  if (kind === "open-file") return await attachFile(editor.document.uri, privacy);
  await allow(editor.document.uri, privacy);
  return kind === "selection" ? fromSelection(editor) : fromProblems(editor.document);
}

/** @throws Refusal */
export async function attachFile(uri: vscode.Uri, privacy: Privacy): Promise<Attachment> {
  const document = await open(uri, privacy);
  return attachment("file", shownPath(uri), document, document.getText());
}

/** A function, class or the like, with the lines it has in its file. @throws Refusal */
export async function attachSymbol(name: string, { uri, range }: vscode.Location, privacy: Privacy): Promise<Attachment> {
  const document = await open(uri, privacy);
  const whole = document.validateRange(new vscode.Range(range.start.line, 0, range.end.line, Number.MAX_SAFE_INTEGER));
  return attachment("symbol", `${name} in ${shownPath(uri)}`, document, document.getText(whole));
}

/** Part of a document, named by its lines. @throws Refusal */
export async function attachRange(document: vscode.TextDocument, range: vscode.Range, privacy: Privacy): Promise<Attachment> {
  await allow(document.uri, privacy);
  return lines(document, range);
}

function fromSelection({ document, selection }: vscode.TextEditor): Attachment {
  if (selection.isEmpty) throw new Refusal("Nothing is selected in the editor.");
  return lines(document, selection);
}

function lines(document: vscode.TextDocument, range: vscode.Range): Attachment {
  const [first, last] = [range.start.line + 1, range.end.line + 1];
  const where = first === last ? `line ${first}` : `lines ${first} to ${last}`;
  return attachment("selection", `${shownPath(document.uri)}, ${where}`, document, document.getText(range));
}

function fromProblems(document: vscode.TextDocument): Attachment {
  const text = problemsText(document, vscode.languages.getDiagnostics(document.uri));
  if (text === "") throw new Refusal(`There are no problems in ${shownPath(document.uri)}.`);
  return attachment("problems", shownPath(document.uri), document, text);
}

/** Problems with the lines they are in. */
export function problemsText(document: vscode.TextDocument, problems: readonly vscode.Diagnostic[]): string {
  const lines = problems.map((p) => {
    const line = document.lineAt(Math.min(p.range.start.line, document.lineCount - 1)).text.trim();
    return `- line ${p.range.start.line + 1} (${vscode.DiagnosticSeverity[p.severity]}): ${p.message}\n  ${line}`;
  });
  return lines.join("\n");
}

async function open(uri: vscode.Uri, privacy: Privacy): Promise<vscode.TextDocument> {
  await allow(uri, privacy);
  try {
    return await vscode.workspace.openTextDocument(uri);
  } catch {
    throw new Refusal(`${shownPath(uri)} cannot be read as text.`);
  }
}

async function allow(uri: vscode.Uri, privacy: Privacy): Promise<void> {
  const refused = await privacy.reason(uri);
  if (refused) throw new Refusal(refused);
}

function attachment(kind: Attachment["kind"], label: string, { uri, languageId }: vscode.TextDocument, text: string): Attachment {
  if (text.includes("\0")) throw new Refusal(`${label} looks binary, so it cannot go into a prompt.`);
  if (text.length > MAX_CHARACTERS)
    throw new Refusal(
      `${label} is too long for a prompt: ${text.length.toLocaleString("en")} characters. Select the part that matters and add that.`,
    );
  return { id: randomUUID(), kind, label, path: uri.fsPath, languageId, text, tokens: null };
}
