import { readFile } from "node:fs/promises";
import * as path from "node:path";
import ignore, { type Ignore } from "ignore";
import * as vscode from "vscode";
import { isSecretPath } from "../core/completion/extent.js";
import type { Pauses } from "./completions/pauses.js";

/**
 * Which files may enter a prompt: none that look like secrets, none that git ignores, none that the user listed, nothing outside the
 * workspace folders unless the user opened it himself.
 */
export class Privacy implements vscode.Disposable {
  private readonly rules = new Map<string, Promise<Ignore | null>>();
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
    const root = folder.uri.fsPath;
    const inside = path.relative(root, uri.fsPath).split(path.sep);
    if (inside[0] === "" || inside[0] === "..") return false;
    // The rules of every folder on the way down, as git reads them: the deepest that says something decides.
    let ignored = false;
    for (let depth = 0; depth < inside.length; depth++) {
      const rules = await this.rulesOf(path.join(root, ...inside.slice(0, depth)));
      const verdict = rules?.test(inside.slice(depth).join("/"));
      if (verdict?.ignored) ignored = true;
      else if (verdict?.unignored) ignored = false;
    }
    return ignored || inside.includes(".git");
  }

  private rulesOf(folder: string): Promise<Ignore | null> {
    let rules = this.rules.get(folder);
    if (!rules) {
      rules = readFile(path.join(folder, ".gitignore"), "utf8").then(
        (text) => ignore().add(text),
        () => null,
      );
      this.rules.set(folder, rules);
    }
    return rules;
  }
}
