import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import * as path from "node:path";
import * as vscode from "vscode";
import { taskOfTable } from "../../core/label/own-task.js";
import type { LabelResult } from "../../protocol/engine.js";
import { writeFileAtomic } from "../../store/atomic.js";
import type { Table } from "../../store/label-table.js";
import type { Services } from "../services.js";

/** What is asked before a table is labelled. */
export interface Wanted {
  table: Table;
  file: string;
  /** A task file, or the column of text where the table's own labels say what the task is. */
  task: { file: string } | { column: string };
  confidence: number;
}

/** The table's answer lies beside it under the first free name. A run that was cut off left its journal there, and goes on. */
export function outputBeside(file: string): { out: string; resume: boolean } {
  const { dir, name, ext } = path.parse(file);
  for (let i = 1; ; i++) {
    const out = path.join(dir, `${name}.labelled${i === 1 ? "" : `-${i}`}${ext}`);
    if (!existsSync(out)) return { out, resume: existsSync(`${out}.journal`) };
  }
}

/** Labels the table into a new file beside it. @throws ActError */
export async function labelTable(
  { engine, sets, context }: Services,
  { table, file, task, confidence }: Wanted,
  tell: (message: string, done: number, total: number) => void,
  signal: AbortSignal,
): Promise<LabelResult> {
  const taskFile = "file" in task ? task.file : await ownTaskFile(context, table, file, task.column);
  const model = await engine.model(signal);
  await sets.for("task").ready();
  const { out, resume } = outputBeside(file);
  return await engine.request(
    "label",
    { task: taskFile, in: file, out, resume, calibration: sets.for("task").calibration(model), ...(confidence > 0 && { confidence }) },
    { signal, onProgress: ({ task: part, done, total }) => tell(`${part}, ${done} of ${total}`, done, total) },
  );
}

/** The task that the table's own labels make, as a task file. */
async function ownTaskFile(context: vscode.ExtensionContext, table: Table, file: string, column: string): Promise<string> {
  const marks = table.rows.flatMap(({ mark }) => (mark === null ? [] : [mark]));
  const task = taskOfTable(path.basename(file), column, table.columns, marks);
  const name = createHash("sha256").update(file).digest("hex").slice(0, 16);
  const target = path.join(context.globalStorageUri.fsPath, "label", `${name}.json`);
  await vscode.workspace.fs.createDirectory(vscode.Uri.file(path.dirname(target)));
  await writeFileAtomic(target, JSON.stringify({ task, train: [], test: [] }));
  return target;
}

/** What became of it, in two sentences. */
export function outcome({ labelled, blank, method, expected }: LabelResult): string {
  const percent = (value: number) => `${(100 * value).toFixed(0)} %`;
  return (
    `${labelled} rows are labelled by “${method}”, ${blank} are left blank. ` +
    `Expect ${percent(expected.accuracy)} of all labels to be right (95 % interval ${percent(expected.interval[0])} to ${percent(expected.interval[1])}, measured on ${expected.n} labelled rows).`
  );
}
