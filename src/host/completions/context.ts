import * as vscode from "vscode";
import { NEAR } from "../../core/completion/budget.js";
import type { CursorText } from "../../core/completion/extent.js";
import { type Chunk, ChunkRing, chunksOf, importsOf } from "../../core/completion/ring.js";
import type { Log } from "../log.js";
import type { Privacy } from "../privacy.js";
import { shownPath } from "./pauses.js";

const MAX_CHARACTERS = 200_000;
const MAX_IMPORTS = 8;
const EXTENSIONS = [
  "",
  ".ts",
  ".tsx",
  ".js",
  ".jsx",
  ".mjs",
  ".py",
  ".go",
  ".rs",
  ".h",
  ".hpp",
  ".c",
  ".cpp",
  ".java",
  "/index.ts",
  "/index.js",
  "/__init__.py",
];

/** Related code for a suggestion: pieces of files that are or were open, and of those that they import. */
export class RepositoryContext implements vscode.Disposable {
  private readonly ring = new ChunkRing(96);
  /** What was picked last for a document; kept while the cursor stays near, so that the engine can reuse what it has read. */
  private picked: { uri: string; line: number; at: number; budget: number; chunks: Chunk[] } | null = null;
  private readonly resolved = new Map<string, number>();
  private active = vscode.window.activeTextEditor?.document;
  private readonly listening: vscode.Disposable;

  constructor(
    private readonly privacy: Privacy,
    private readonly log: Log,
  ) {
    this.listening = vscode.Disposable.from(
      vscode.window.onDidChangeActiveTextEditor((editor) => {
        // What was edited in the file before counts as it stands now, saved or not.
        if (this.active && !this.active.isClosed) void this.take(this.active);
        this.active = editor?.document;
        if (editor) void this.take(editor.document);
      }),
      vscode.workspace.onDidSaveTextDocument((document) => void this.take(document)),
      vscode.workspace.onDidDeleteFiles(({ files }) => {
        for (const uri of files) this.ring.forget(shownPath(uri));
        this.picked = null;
      }),
    );
    for (const editor of vscode.window.visibleTextEditors) void this.take(editor.document);
  }

  /** The pieces nearest to the cursor within `budget` characters, least related first. */
  pick(document: vscode.TextDocument, line: number, cursor: CursorText, budget: number): Chunk[] {
    const uri = document.uri.toString();
    const last = this.picked;
    if (last?.uri === uri && last.budget === budget && Math.abs(last.line - line) <= 15 && Date.now() - last.at < 60_000)
      return last.chunks;
    const query = cursor.prefix.slice(-NEAR.before) + cursor.suffix.slice(0, NEAR.after);
    const chunks = this.ring.pick(query, budget, shownPath(document.uri), importsOf(document.getText().slice(0, 20_000)));
    this.picked = { uri, line, at: Date.now(), budget, chunks };
    return chunks;
  }

  dispose(): void {
    this.listening.dispose();
  }

  /** Takes a document's pieces into the ring, and those of the files it imports. */
  private async take(document: vscode.TextDocument): Promise<void> {
    if (document.uri.scheme !== "file" && document.uri.scheme !== "vscode-remote") return;
    try {
      if ((await this.privacy.reason(document.uri)) !== null) return;
      const text = document.getText();
      this.add(document.uri, text);
      await this.takeImports(document.uri, text);
    } catch (error) {
      this.log.debug(`No context from ${document.uri.path}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  private add(uri: vscode.Uri, text: string): void {
    if (text.length > MAX_CHARACTERS || text.slice(0, 4096).includes("\0")) return;
    const shown = shownPath(uri);
    this.ring.forget(shown);
    for (const chunk of chunksOf(shown, text)) this.ring.add(chunk);
    this.picked = null;
  }

  private async takeImports(from: vscode.Uri, text: string): Promise<void> {
    const folder = vscode.workspace.getWorkspaceFolder(from);
    if (!folder) return;
    let taken = 0;
    for (const name of importsOf(text.slice(0, 20_000))) {
      if (taken >= MAX_IMPORTS) return;
      const uri = await this.resolve(name, from, folder.uri);
      if (!uri || (await this.privacy.reason(uri)) !== null) continue;
      const stat = await vscode.workspace.fs.stat(uri);
      if (stat.size > MAX_CHARACTERS || this.resolved.get(uri.path) === stat.mtime) continue;
      this.resolved.set(uri.path, stat.mtime);
      this.add(uri, new TextDecoder().decode(await vscode.workspace.fs.readFile(uri)));
      taken++;
    }
  }

  /** The workspace file behind an import, by the usual endings; null for packages. Never leaves the workspace folder. */
  private async resolve(name: string, from: vscode.Uri, root: vscode.Uri): Promise<vscode.Uri | null> {
    const here = vscode.Uri.joinPath(from, "..");
    const isPath = /^\.{0,2}\//.test(name) || /\.(h|hpp)$/.test(name);
    const relative = isPath ? name.replace(/\.js$/, "") : name.replace(/^\.+/, "").replaceAll(".", "/");
    if (relative === "") return null;
    for (const base of isPath ? [here] : [here, root]) {
      for (const extension of EXTENSIONS) {
        const uri = vscode.Uri.joinPath(base, relative + extension);
        if (!uri.path.startsWith(`${root.path}/`)) continue;
        const stat = await vscode.workspace.fs.stat(uri).then(
          (s) => s,
          () => null,
        );
        if (stat && stat.type === vscode.FileType.File) return uri;
      }
    }
    return null;
  }
}
