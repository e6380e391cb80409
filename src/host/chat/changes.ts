import * as vscode from "vscode";
import { insertCode, placeCode } from "../../core/conversation/apply.js";
import { registerCommand } from "../commands.js";
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
  private readonly changed = new vscode.EventEmitter<void>();
  readonly onDidChangeShown = this.changed.event;
  private readonly registrations: vscode.Disposable;
  private next = 1;

  constructor() {
    this.registrations = vscode.Disposable.from(
      vscode.workspace.registerTextDocumentContentProvider(SCHEME, this),
      registerCommand("act.acceptChange", (uri?: vscode.Uri) => this.accept(uri)),
      registerCommand("act.discardChange", (uri?: vscode.Uri) => this.discard(uri)),
      vscode.window.tabGroups.onDidChangeTabs(({ closed }) => {
        for (const tab of closed) {
          const uri = proposalIn(tab);
          if (uri) this.proposals.delete(uri.toString());
        }
        this.changed.fire();
      }),
    );
  }

  /** The change that is shown as a diff and waits for an answer; null where there is none. */
  get shown(): { label: string } | null {
    const uri = this.shownUri();
    const proposal = uri && this.proposals.get(uri.toString());
    return proposal ? { label: shownPath(proposal.target) } : null;
  }

  provideTextDocumentContent(uri: vscode.Uri): string {
    return this.proposals.get(uri.toString())?.result ?? "";
  }

  /** Puts code in place of the selection or at the cursor, at its depth. */
  async insert(code: string): Promise<void> {
    const editor = vscode.window.activeTextEditor;
    if (!editor) return void vscode.window.showWarningMessage("Open the file to insert into first.");
    const { document } = editor;
    const { start, end, text } = insertCode(document.getText(), selectionOf(editor), code);
    const done = await editor.edit((edit) => edit.replace(new vscode.Range(document.positionAt(start), document.positionAt(end)), text));
    if (!done) return void vscode.window.showWarningMessage(`${shownPath(document.uri)} cannot be changed: it is read-only.`);
    await vscode.window.showTextDocument(document, editor.viewColumn);
  }

  /** Shows what the open file would become. */
  async propose(code: string): Promise<void> {
    const editor = vscode.window.activeTextEditor;
    if (!editor || editor.document.uri.scheme === SCHEME) return void vscode.window.showWarningMessage("Open the file to change first.");
    const { document } = editor;
    const file = document.getText();
    const { start, end, text } = placeCode(file, selectionOf(editor), code);
    const result = file.slice(0, start) + text + file.slice(end);
    if (result === file) return void vscode.window.showInformationMessage("The file already has this code.");
    const uri = document.uri.with({ scheme: SCHEME, query: String(this.next++) });
    this.proposals.set(uri.toString(), { target: document.uri, version: document.version, start, end, text, result });
    await vscode.commands.executeCommand("vscode.diff", document.uri, uri, `${shownPath(document.uri)}: change from the chat`, {
      preview: true,
    });
    this.changed.fire();
  }

  async accept(uri = this.shownUri()): Promise<void> {
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

  async discard(uri = this.shownUri()): Promise<void> {
    if (!uri) return;
    this.proposals.delete(uri.toString());
    for (const tab of vscode.window.tabGroups.all.flatMap((group) => group.tabs))
      if (proposalIn(tab)?.toString() === uri.toString()) await vscode.window.tabGroups.close(tab);
    this.changed.fire();
  }

  dispose(): void {
    this.registrations.dispose();
    this.changed.dispose();
  }

  /** The change in the diff on screen; else the last that is open in some tab. */
  private shownUri(): vscode.Uri | undefined {
    const active = vscode.window.tabGroups.activeTabGroup.activeTab;
    const all = vscode.window.tabGroups.all.flatMap((group) => group.tabs).reverse();
    return [active, ...all].map((tab) => tab && proposalIn(tab)).find((uri) => uri !== undefined);
  }
}

function proposalIn({ input }: vscode.Tab): vscode.Uri | undefined {
  return input instanceof vscode.TabInputTextDiff && input.modified.scheme === SCHEME ? input.modified : undefined;
}

function selectionOf({ document, selection }: vscode.TextEditor): { start: number; end: number } {
  return { start: document.offsetAt(selection.start), end: document.offsetAt(selection.end) };
}
