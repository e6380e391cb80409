import * as vscode from "vscode";
import type { Use } from "../../protocol/calibration.js";
import { readHeadSet } from "../../store/head-sets/file.js";
import { runCommand } from "../commands.js";
import type { Log } from "../log.js";

const { Global, Workspace } = vscode.ConfigurationTarget;

/**
 * One set (act.headSet) and one switch (act.calibration) once held for everything. The set is kept for the use that it names; for
 * the others, about which it says nothing, calibration is off. Said once, because the old settings are gone afterwards.
 */
export async function migrateSettings(log: Log): Promise<void> {
  const configuration = vscode.workspace.getConfiguration("act");
  const headSet = configuration.inspect<string>("headSet");
  const calibration = configuration.inspect<boolean>("calibration");
  const places = [
    { target: Global, file: headSet?.globalValue, on: calibration?.globalValue },
    ...(vscode.workspace.isTrusted ? [{ target: Workspace, file: headSet?.workspaceValue, on: calibration?.workspaceValue }] : []),
  ];
  const kept: string[] = [];
  for (const { target, file, on } of places) {
    if (file === undefined && on === undefined) continue;
    const set = file ? await readHeadSet(file).catch(() => null) : null;
    const use: Use = set?.use ?? "task";
    const update = (name: string, value: unknown) => configuration.update(name, value, target);
    try {
      if (file) await update(`${use}.headSet`, file);
      if (on === false) for (const each of ["completions", "chat", "task"]) await update(`${each}.calibration`, "off");
      await update("headSet", undefined);
      await update("calibration", undefined);
      if (file) kept.push(set?.name ?? file);
    } catch (error) {
      log.warn(`The settings act.headSet and act.calibration could not be rewritten: ${String(error)}`);
    }
  }
  if (kept.length === 0) return;
  log.info(`Settings: act.headSet became act.task.headSet (${kept.join(", ")}).`);
  const calibrate = "Calibrate Heads";
  void vscode.window
    .showInformationMessage(
      `ACT: Completions, chat and task prompts now have a head set each. “${kept[0]}” is kept for task prompts; completions and chat run without it, because nothing was measured there.`,
      calibrate,
    )
    .then((answer) => {
      if (answer === calibrate) void runCommand("act.calibrate");
    });
}
