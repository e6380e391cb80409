import * as path from "node:path";
import * as vscode from "vscode";
import { ActError, toActError } from "../../protocol/errors.js";
import { readTable, type Table } from "../../store/label-table.js";
import { registerCommand } from "../commands.js";
import type { Services } from "../services.js";
import { labelTable, outcome, type Wanted } from "./run.js";

const TABLES = { "Tables of rows": ["csv", "tsv", "jsonl"] };
/** Rows with a label that a table needs so that its labels alone are enough to learn from. */
const ENOUGH = 12;
const CONFIDENCES = [0, 0.6, 0.7, 0.8, 0.9, 0.95];

/** "ACT: Label Rows...": asks what to learn from and how sure to be, and labels a table into a new file beside it. */
export function registerLabelling(services: Services): vscode.Disposable {
  return registerCommand("act.labelRows", async (uri?: vscode.Uri) => {
    try {
      const file = await tableFile(uri);
      const wanted = file && (await ask(file));
      if (wanted) await run(services, wanted);
    } catch (error) {
      const { code, message } = toActError(error);
      if (code === "cancelled") return;
      services.log.error(`Label rows: ${message}`);
      void vscode.window.showErrorMessage(message);
    }
  });
}

/** The file that was clicked, the open one, or one that is chosen. @throws ActError where it has unsaved changes */
async function tableFile(uri: vscode.Uri | undefined): Promise<string | null> {
  const open = vscode.window.activeTextEditor?.document.uri;
  const isTable = (one: vscode.Uri | undefined) => one?.scheme === "file" && /\.(csv|tsv|jsonl)$/i.test(one.fsPath);
  const own = isTable(uri) ? uri : isTable(open) ? open : undefined;
  const chosen = own ?? (await vscode.window.showOpenDialog({ title: "Table of rows to label", openLabel: "Label", filters: TABLES }))?.[0];
  if (!chosen) return null;
  const document = vscode.workspace.textDocuments.find((one) => one.uri.toString() === chosen.toString());
  if (document?.isDirty) throw new ActError("usage", `${path.basename(chosen.fsPath)} has unsaved changes. Save it first.`);
  return chosen.fsPath;
}

async function ask(file: string): Promise<Wanted | null> {
  const table = await readTable(file);
  const task = await askTask(table, file);
  if (!task) return null;
  const confidence = await vscode.window.showQuickPick(
    CONFIDENCES.map((value) => ({
      label: value === 0 ? "Label every row" : `Leave rows blank under ${Math.round(value * 100)} %`,
      value,
    })),
    { title: "How sure must a label be?" },
  );
  return confidence ? { table, file, task, confidence: confidence.value } : null;
}

/** What to learn from: the labels that the table holds already, or a task file. */
async function askTask(table: Table, file: string): Promise<Wanted["task"] | null> {
  const marked = table.rows.filter(({ mark }) => mark !== null).length;
  const own = {
    label: `The ${marked} labelled rows of this table`,
    detail: "Rows whose column “label” is filled in.",
    from: "table" as const,
  };
  const other = {
    label: "A task file…",
    detail: "JSON or JSONL with labels, a prompt and labelled rows, as “act calibrate” takes it.",
    from: "file" as const,
  };
  const picked = await vscode.window.showQuickPick(marked >= ENOUGH ? [own, other] : [other], {
    title: `Label ${path.basename(file)}: what to learn from?`,
    placeHolder:
      marked < ENOUGH ? `Fill in the column “label” of at least ${ENOUGH} rows to learn from the table itself; ${marked} are.` : "",
  });
  if (!picked) return null;
  if (picked.from === "file") {
    const files = await vscode.window.showOpenDialog({ title: "Task file", filters: { "Task files": ["json", "jsonl"] } });
    return files?.[0] ? { file: files[0].fsPath } : null;
  }
  const columns = table.columns.filter((name) => name !== "label" && table.rows.some(({ fields }) => fields[name]?.trim()));
  const column =
    columns.length === 1 ? columns[0] : await vscode.window.showQuickPick(columns, { title: "Which column holds the text to judge?" });
  return column === undefined ? null : { column };
}

async function run(services: Services, wanted: Wanted): Promise<void> {
  const name = path.basename(wanted.file);
  const result = await vscode.window.withProgress(
    { location: vscode.ProgressLocation.Notification, title: `ACT: labelling ${name}`, cancellable: true },
    async (progress, token) => {
      const abort = new AbortController();
      token.onCancellationRequested(() => abort.abort());
      let shown = 0;
      return await labelTable(
        services,
        wanted,
        (message, done, total) => {
          const percent = (100 * done) / total;
          progress.report({ message, increment: percent - shown });
          shown = percent;
        },
        abort.signal,
      );
    },
  );
  await vscode.window.showTextDocument(vscode.Uri.file(result.out), { preview: false });
  void vscode.window.showInformationMessage(outcome(result));
}
