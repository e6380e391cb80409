import * as vscode from "vscode";
import { placeCode } from "../../core/conversation/apply.js";
import { shownPath } from "../completions/pauses.js";

const SCHEME = "act-change";

interface Proposal {
  target: vscode.Uri;
  version: number;
  start: number;
  end: number;
  text: string;
  /** The whole file as it would be. */
  result: string;
}

/** Code from an answer into a file: at the cursor at once, or as a diff that the user accepts or discards. */
export class Changes implements vscode.TextDocumentContentProvider, vscode.Disposable {
  private readonly proposals = new Map<string, Proposal>();
  private readonly registrations: vscode.Disposable;
  private next = 1;

  constructor() {
    this.registrations = vscode.Disposable.from(
      vscode.workspace.registerTextDocumentContentProvider(SCHEME, this),
      vscode.commands.registerCommand("act.acceptChange", (uri?: vscode.Uri) => this.accept(uri ?? shownProposal())),
      vscode.commands.registerCommand("act.discardChange", (uri?: vscode.Uri) => this.discard(uri ?? shownProposal())),
    );
  }

  provideTextDocumentContent(uri: vscode.Uri): string {
    return this.proposals.get(uri.toString())?.result ?? "";
  }

  async insert(text: string): Promise<void> {
    const editor = vscode.window.activeTextEditor;
    if (!editor) return void vscode.window.showWarningMessage("Open the file to insert into first.");
    const done = await editor.edit((edit) => edit.replace(editor.selection, text));
    if (!done) return void vscode.window.showWarningMessage(`${shownPath(editor.document.uri)} cannot be changed: it is read-only.`);
    await vscode.window.showTextDocument(editor.document, editor.viewColumn);
  }

  /** Shows what the open file would become. */
  async propose(code: string): Promise<void> {
    const editor = vscode.window.activeTextEditor;
    if (!editor || editor.document.uri.scheme === SCHEME) return void vscode.window.showWarningMessage("Open the file to change first.");
    const { document } = editor;
    const file = document.getText();
    const selection = { start: document.offsetAt(editor.selection.start), end: document.offsetAt(editor.selection.end) };
    const { start, end, text } = placeCode(file, selection, code);
    const result = file.slice(0, start) + text + file.slice(end);
    if (result === file) return void vscode.window.showInformationMessage("The file already has this code.");
    const uri = document.uri.with({ scheme: SCHEME, query: String(this.next++) });
    this.proposals.set(uri.toString(), { target: document.uri, version: document.version, start, end, text, result });
    await vscode.commands.executeCommand("vscode.diff", document.uri, uri, `${shownPath(document.uri)}: change from the chat`, {
      preview: true,
    });
  }

  dispose(): void {
    this.registrations.dispose();
  }

  private async accept(uri: vscode.Uri | undefined): Promise<void> {
    const proposal = uri && this.proposals.get(uri.toString());
    if (!uri || !proposal) return void vscode.window.showWarningMessage("There is no change to accept here.");
    const document = await vscode.workspace.openTextDocument(proposal.target);
    if (document.version !== proposal.version) {
      return void vscode.window.showWarningMessage(
        `${shownPath(proposal.target)} was edited since this change was made. Apply the code again from the chat.`,
      );
    }
    const edit = new vscode.WorkspaceEdit();
    edit.replace(proposal.target, new vscode.Range(document.positionAt(proposal.start), document.positionAt(proposal.end)), proposal.text);
    if (!(await vscode.workspace.applyEdit(edit))) {
      return void vscode.window.showWarningMessage(`${shownPath(proposal.target)} cannot be changed: it is read-only or gone.`);
    }
    await this.discard(uri);
    await vscode.window.showTextDocument(document);
  }

  private async discard(uri: vscode.Uri | undefined): Promise<void> {
    if (!uri) return;
    this.proposals.delete(uri.toString());
    for (const tab of vscode.window.tabGroups.all.flatMap((group) => group.tabs)) {
      if (tab.input instanceof vscode.TabInputTextDiff && tab.input.modified.toString() === uri.toString())
        await vscode.window.tabGroups.close(tab);
    }
  }
}

/** The proposal in the diff editor on screen. */
function shownProposal(): vscode.Uri | undefined {
  const input = vscode.window.tabGroups.activeTabGroup.activeTab?.input;
  return input instanceof vscode.TabInputTextDiff && input.modified.scheme === SCHEME ? input.modified : undefined;
}
