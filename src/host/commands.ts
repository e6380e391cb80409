import * as vscode from "vscode";

/** Every command of the extension. A test compares this list with package.json, so that none is offered without being there. */
const COMMANDS = [
  "act.acceptChange",
  "act.attachFile",
  "act.attachSelection",
  "act.calibrate",
  "act.cancelDownload",
  "act.chooseModel",
  "act.copyRecord",
  "act.discardChange",
  "act.document",
  "act.explain",
  "act.fix",
  "act.labelRows",
  "act.menu",
  "act.newConversation",
  "act.openChat",
  "act.openModelFile",
  "act.pauseDownload",
  "act.restartEngine",
  "act.resumeDownload",
  "act.showConversations",
  "act.showLog",
  "act.showSinks",
  "act.showSinksOfSelection",
  "act.showWalkthrough",
  "act.stopEngine",
  "act.tests",
  "act.toggleCalibration",
  "act.toggleCompletions",
  "act.toggleLanguage",
  "act.toggleSinkDecorations",
  "act.whyNothing",
] as const;
export type CommandId = (typeof COMMANDS)[number];

/** Registers a command of the list above; a name that is not there does not compile. */
// biome-ignore lint/suspicious/noExplicitAny: VS Code hands over whatever the caller of a command gave
export function registerCommand(id: CommandId, run: (...args: any[]) => unknown): vscode.Disposable {
  return vscode.commands.registerCommand(id, run);
}

/** Runs a command of this extension. */
export function runCommand(id: CommandId, ...args: unknown[]): Thenable<unknown> {
  return vscode.commands.executeCommand(id, ...args);
}
