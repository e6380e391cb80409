import * as vscode from "vscode";
import { type CommandId, registerCommand } from "./commands.js";
import type { Pauses } from "./completions/pauses.js";
import type { Engine } from "./engine/engine.js";
import type { ActiveHeadSet } from "./search/head-set.js";
import type { Settings } from "./settings.js";
import { describe } from "./status.js";

const SETTINGS = "workbench.action.openSettings";

interface Entry extends vscode.QuickPickItem {
  command?: CommandId | typeof SETTINGS;
}

/** The status bar's menu, and the commands that need no room of their own. */
export function registerMenu(
  engine: Engine,
  headSet: ActiveHeadSet,
  pauses: Pauses,
  settings: Settings,
  log: vscode.LogOutputChannel,
): vscode.Disposable {
  return vscode.Disposable.from(
    registerCommand("act.menu", async () => {
      const chosen = await vscode.window.showQuickPick(entries(engine, headSet, pauses), {
        title: `ACT: ${describe(engine.status)}`,
        placeHolder: engine.status.problem ?? undefined,
      });
      if (chosen?.command) await vscode.commands.executeCommand(chosen.command);
    }),
    registerCommand("act.restartEngine", () =>
      vscode.window.withProgress({ location: vscode.ProgressLocation.Window, title: "ACT: restarting the engine" }, async () => {
        await engine.restart().catch((error: Error) => vscode.window.showErrorMessage(error.message));
      }),
    ),
    registerCommand("act.stopEngine", () => engine.stop()),
    registerCommand("act.toggleCalibration", async () => {
      const unavailable = headSet.unavailable(engine.status.model);
      if (unavailable) return void vscode.window.showWarningMessage(unavailable);
      await settings.set("calibration", !headSet.enabled);
    }),
    registerCommand("act.showLog", () => log.show()),
    registerCommand("act.showWalkthrough", () =>
      vscode.commands.executeCommand("workbench.action.openWalkthrough", "act.act-vscode#start", false),
    ),
  );
}

function entries(engine: Engine, headSet: ActiveHeadSet, pauses: Pauses): Entry[] {
  const { model, phase } = engine.status;
  const paused = pauses.reason(vscode.window.activeTextEditor?.document);
  const entry = (icon: string, label: string, command: CommandId | typeof SETTINGS, description?: string): Entry => ({
    label: `$(${icon}) ${label}`,
    command,
    description,
  });
  return [
    entry("package", "Choose Model", "act.chooseModel", engine.modelName ?? undefined),
    entry("comment-discussion", "Open Chat", "act.openChat"),
    entry(
      paused ? "debug-start" : "debug-pause",
      paused ? "Resume Suggestions" : "Pause Suggestions",
      "act.toggleCompletions",
      paused ?? undefined,
    ),
    entry("question", "Why Did Nothing Appear?", "act.whyNothing"),
    { label: "Calibration", kind: vscode.QuickPickItemKind.Separator },
    entry(
      headSet.enabled ? "circle-slash" : "check",
      headSet.enabled ? "Switch Calibration Off" : "Switch Calibration On",
      "act.toggleCalibration",
      headSet.unavailable(model) ?? undefined,
    ),
    entry("beaker", "Calibrate Heads", "act.calibrate"),
    entry("graph", "Show Sinks of the Current Prompt", "act.showSinks"),
    { label: "Engine", kind: vscode.QuickPickItemKind.Separator },
    entry("debug-restart", "Restart Engine", "act.restartEngine"),
    ...(phase === "ready" ? [entry("debug-stop", "Stop Engine and Free Its Memory", "act.stopEngine")] : []),
    entry("output", "Show Log", "act.showLog"),
    entry("settings-gear", "Settings", SETTINGS),
    entry("book", "Get Started", "act.showWalkthrough"),
  ];
}
