import * as vscode from "vscode";

/** The output channel; its level is chosen in the channel's own menu. */
export type Log = Pick<vscode.LogOutputChannel, "error" | "warn" | "info" | "debug" | "trace" | "show">;

export function createLog(context: vscode.ExtensionContext): vscode.LogOutputChannel {
  const log = vscode.window.createOutputChannel("ACT", { log: true });
  context.subscriptions.push(log);
  return log;
}
