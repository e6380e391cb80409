import * as vscode from "vscode";
import { textOfCells } from "../../core/completion/notebook.js";

/** The cells before one of a notebook, as text before it; "" for other documents. */
export function cellsBefore(document: vscode.TextDocument): string {
  if (document.uri.scheme !== "vscode-notebook-cell") return "";
  for (const notebook of vscode.workspace.notebookDocuments) {
    const cells = notebook.getCells();
    const at = cells.findIndex((cell) => cell.document === document);
    if (at < 0) continue;
    const before = cells.slice(0, at).map((cell) => ({
      languageId: cell.document.languageId,
      code: cell.kind === vscode.NotebookCellKind.Code,
      text: cell.document.getText(),
    }));
    return textOfCells(before, document.languageId);
  }
  return "";
}
