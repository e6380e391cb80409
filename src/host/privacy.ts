import * as path from "node:path";
import * as vscode from "vscode";
import { isSecretPath } from "../core/secrets.js";
import { IgnoreRules } from "../store/workspace/ignore-rules.js";
import type { Pauses } from "./completions/pauses.js";

/**
 * Which files may enter a prompt: none that look like secrets, none that git ignores, none that the user listed, nothing outside the
 * workspace folders unless the user opened it himself.
 */
export class Privacy {
  constructor(private readonly pauses: Pauses) {}

  /** Why a file must stay out, in a sentence; null where it may be read into a prompt. */
  async reason(uri: vscode.Uri): Promise<string | null> {
    if (isSecretPath(uri.path)) return "The file may hold secrets, so it never enters a prompt.";
    const shown = { uri, languageId: "", fileName: uri.fsPath, version: 0 };
    if (this.pauses.isListed(shown)) return "The setting act.completions.pausedFiles keeps this file out of prompts.";
    if (await this.isIgnored(uri)) return "Git ignores this file, so it never enters a prompt.";
    return null;
  }

  private async isIgnored(uri: vscode.Uri): Promise<boolean> {
    const folder = vscode.workspace.getWorkspaceFolder(uri);
    if (!folder || uri.scheme !== "file") return false;
    const inside = path.relative(folder.uri.fsPath, uri.fsPath).split(path.sep).join("/");
    if (inside === "" || inside.startsWith("../")) return false;
    // Read anew each time: this is asked when a file is taken, not for each key, and an ignore file may have changed a moment ago.
    return await new IgnoreRules(folder.uri.fsPath).ignores(inside);
  }
}
