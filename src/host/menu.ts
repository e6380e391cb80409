import * as vscode from "vscode";
import { USE_NAMES, USES } from "../core/uses.js";
import type { Use } from "../protocol/calibration.js";
import { switchOn } from "./calibration/switch.js";
import { type CommandId, registerCommand } from "./commands.js";
import type { Services } from "./services.js";
import { calibratedUses, describe } from "./status.js";

const SETTINGS = "workbench.action.openSettings";

interface Entry extends vscode.QuickPickItem {
  command?: CommandId | typeof SETTINGS;
}

/** The status bar's menu, and the commands that belong to no other feature. */
export function registerMenu(services: Services): vscode.Disposable {
  const { engine, log } = services;
  return vscode.Disposable.from(
    registerCommand("act.menu", async () => {
      const chosen = await vscode.window.showQuickPick(entries(services), {
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
    registerCommand("act.toggleCalibration", () => toggle(services)),
    registerCommand("act.showLog", () => log.show()),
    registerCommand("act.showWalkthrough", () =>
      vscode.commands.executeCommand("workbench.action.openWalkthrough", "act.act-vscode#start", false),
    ),
  );
}

/** Asks which use is meant, where a set is chosen for several, and switches its calibration on or off. */
async function toggle(services: Services): Promise<void> {
  const { engine, sets } = services;
  await Promise.all(USES.map((use) => sets.for(use).ready()));
  const chosen = USES.map((use) => sets.for(use)).filter(({ current }) => current !== null);
  if (chosen.length === 0)
    return void vscode.window.showWarningMessage("There is no head set yet, for no use. Run “ACT: Calibrate Heads”.");
  const applied = new Set<Use>(calibratedUses(services).map(({ use }) => use));
  const items = chosen.map(({ use, current }) => ({
    label: `${applied.has(use) ? "Switch off" : "Switch on"} for ${USE_NAMES[use]}`,
    description: current?.name ?? "",
    detail: sets.for(use).unavailable(engine.status.model) ?? "",
    use,
  }));
  const picked = items.length === 1 ? items[0] : await vscode.window.showQuickPick(items, { title: "Calibration" });
  if (!picked) return;
  const { current, choice } = sets.for(picked.use);
  if (applied.has(picked.use)) return await sets.setMode(picked.use, "off");
  const { file, scope } = choice();
  if (!current || !(await switchOn(sets, { use: picked.use, file, set: current, scope }))) return;
  const still = sets.for(picked.use).unavailable(engine.status.model);
  if (still) void vscode.window.showWarningMessage(still);
}

function entries(services: Services): Entry[] {
  const { engine, pauses } = services;
  const { phase } = engine.status;
  const paused = pauses.reason(vscode.window.activeTextEditor?.document);
  const uses = calibratedUses(services).map(({ use, anyway }) => `${USE_NAMES[use]}${anyway ? " (trial)" : ""}`);
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
      uses.length > 0 ? "check" : "circle-slash",
      "Switch Calibration On or Off",
      "act.toggleCalibration",
      uses.length > 0 ? `on for ${uses.join(", ")}` : "off",
    ),
    entry("beaker", "Calibrate Heads", "act.calibrate"),
    entry("tag", "Label Rows of a Table", "act.labelRows"),
    entry("graph", "Show Sinks of the Current Prompt", "act.showSinks"),
    { label: "Engine", kind: vscode.QuickPickItemKind.Separator },
    entry("debug-restart", "Restart Engine", "act.restartEngine"),
    ...(phase === "ready" ? [entry("debug-stop", "Stop Engine and Free Its Memory", "act.stopEngine")] : []),
    entry("output", "Show Log", "act.showLog"),
    entry("settings-gear", "Settings", SETTINGS),
    entry("book", "Get Started", "act.showWalkthrough"),
  ];
}
