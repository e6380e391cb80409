import * as path from "node:path";
import * as vscode from "vscode";
import { isSecretPath } from "../../core/secrets.js";
import { registerCommand } from "../commands.js";
import type { Settings } from "../settings.js";
import { onBattery } from "./battery.js";

/** Where and when there are no suggestions. */
export class Pauses implements vscode.Disposable {
  private readonly changed = new vscode.EventEmitter<void>();
  readonly onDidChange = this.changed.event;
  private battery = false;
  private readonly timer: NodeJS.Timeout;
  private readonly listening: vscode.Disposable;

  constructor(private readonly settings: Settings) {
    this.listening = settings.onDidChange(
      ["completions.enabled", "completions.pausedFiles", "completions.pausedLanguages", "completions.pauseOnBattery"],
      () => {
        void this.lookAtBattery();
        this.changed.fire();
      },
    );
    void this.lookAtBattery();
    this.timer = setInterval(() => void this.lookAtBattery(), 60_000);
    this.timer.unref();
  }

  /** Why this document gets no suggestions now, in a sentence; null where it does. */
  reason(document: vscode.TextDocument | undefined): string | null {
    if (!this.settings.get("completions.enabled")) return "Paused: suggestions are switched off.";
    if (this.battery) return "Paused: the computer runs on battery (setting act.completions.pauseOnBattery).";
    if (!document) return null;
    if (this.settings.get("completions.pausedLanguages").includes(document.languageId)) {
      return `Paused for ${document.languageId} (setting act.completions.pausedLanguages).`;
    }
    if (this.isListed(document)) return "Paused for this file (setting act.completions.pausedFiles).";
    if (isSecretPath(document.uri.path)) return "Paused: a file like this may hold secrets.";
    return null;
  }

  /** Files that the user keeps out of prompts altogether. */
  isListed(document: Pick<vscode.TextDocument, "uri" | "languageId" | "fileName" | "version">): boolean {
    const patterns = this.settings.get("completions.pausedFiles");
    return patterns.some((pattern) => vscode.languages.match({ pattern }, document as vscode.TextDocument) > 0);
  }

  dispose(): void {
    clearInterval(this.timer);
    this.listening.dispose();
    this.changed.dispose();
  }

  private async lookAtBattery(): Promise<void> {
    const battery = this.settings.get("completions.pauseOnBattery") && (await onBattery());
    if (battery === this.battery) return;
    this.battery = battery;
    this.changed.fire();
  }
}

export function registerPauseCommands(settings: Settings): vscode.Disposable {
  return vscode.Disposable.from(
    registerCommand("act.toggleCompletions", async () => {
      const on = !settings.get("completions.enabled");
      await settings.set("completions.enabled", on);
      vscode.window.setStatusBarMessage(on ? "ACT: suggestions resumed" : "ACT: suggestions paused", 3000);
    }),
    registerCommand("act.toggleLanguage", async () => {
      const language = vscode.window.activeTextEditor?.document.languageId;
      if (!language) return void vscode.window.showInformationMessage("Open a file first: the pause is for its language.");
      const paused = settings.get("completions.pausedLanguages");
      const next = paused.includes(language) ? paused.filter((one) => one !== language) : [...paused, language];
      await settings.set("completions.pausedLanguages", next);
      vscode.window.setStatusBarMessage(`ACT: suggestions ${next.includes(language) ? "paused" : "resumed"} for ${language}`, 3000);
    }),
  );
}

/** The path as shown to the model and the user: inside its folder, with forward slashes. */
export function shownPath(uri: vscode.Uri): string {
  const folder = vscode.workspace.getWorkspaceFolder(uri);
  return folder ? path.posix.relative(folder.uri.path, uri.path) : path.posix.basename(uri.path);
}
