import * as path from "node:path";
import * as vscode from "vscode";
import { isSecretPath } from "../core/secrets.js";
import { IgnoreRules } from "../store/workspace/ignore-rules.js";
import type { Pauses } from "./completions/pauses.js";

/**
 * Which files may enter a prompt: none that look like secrets, none that git ignores, none that the user listed, nothing outside the
 * workspace folders unless the user opened it himself.
 */
export class Privacy implements vscode.Disposable {
  /** Folder of the workspace -> its ignore files. */
  private readonly rules = new Map<string, IgnoreRules>();
  private readonly watcher: vscode.FileSystemWatcher;

  constructor(private readonly pauses: Pauses) {
    this.watcher = vscode.workspace.createFileSystemWatcher("**/.gitignore");
    const forget = () => this.rules.clear();
    this.watcher.onDidChange(forget);
    this.watcher.onDidCreate(forget);
    this.watcher.onDidDelete(forget);
  }

  /** Why a file must stay out, in a sentence; null where it may be read into a prompt. */
  async reason(uri: vscode.Uri): Promise<string | null> {
    if (isSecretPath(uri.path)) return "The file may hold secrets, so it never enters a prompt.";
    const shown = { uri, languageId: "", fileName: uri.fsPath, version: 0 };
    if (this.pauses.isListed(shown)) return "The setting act.completions.pausedFiles keeps this file out of prompts.";
    if (await this.isIgnored(uri)) return "Git ignores this file, so it never enters a prompt.";
    return null;
  }

  dispose(): void {
    this.watcher.dispose();
  }

  private async isIgnored(uri: vscode.Uri): Promise<boolean> {
    const folder = vscode.workspace.getWorkspaceFolder(uri);
    if (!folder || uri.scheme !== "file") return false;
    const inside = path.relative(folder.uri.fsPath, uri.fsPath).split(path.sep).join("/");
    if (inside === "" || inside.startsWith("../")) return false;
    let rules = this.rules.get(folder.uri.fsPath);
    if (!rules) {
      rules = new IgnoreRules(folder.uri.fsPath);
      this.rules.set(folder.uri.fsPath, rules);
    }
    return await rules.ignores(inside);
  }
}
