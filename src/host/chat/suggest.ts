import * as vscode from "vscode";
import { scoreOf } from "../../core/conversation/match.js";
import type { Attachment, Suggestion } from "../../protocol/chat.js";
import { shownPath } from "../completions/pauses.js";
import type { ChatServices } from "./ask.js";
import { attach, attachFile, attachSymbol, Refusal } from "./attach.js";

const MOST = 30;
const MOST_FILES = 5000;
const FILES_FOR_MS = 15_000;
const RECENT_KEY = "act.chat.recent";
const MOST_RECENT = 20;

interface Found extends Suggestion {
  make(): Promise<Attachment>;
}

/** What `#` offers: selection, open file and problems, then files and symbols, those that were used lately first. */
export class Suggestions {
  private offered: Found[] = [];
  private listed: { at: number; uris: Thenable<vscode.Uri[]> } | null = null;

  constructor(private readonly services: ChatServices) {}

  async find(query: string): Promise<Suggestion[]> {
    const [symbols, files] = await Promise.all([this.symbols(query), this.allFiles()]);
    const recent = this.recent();
    const rank = (one: Found) => {
      const at = recent.indexOf(one.id);
      return at < 0 ? MOST_RECENT : at;
    };
    const scored = [...this.fromEditor(), ...files, ...symbols].flatMap((found) => {
      const score = scoreOf(query, found.label);
      return score === null ? [] : [{ found, score }];
    });
    const first = (one: Found) => (one.kind === "file" || one.kind === "symbol" ? 1 : 0);
    scored.sort(
      (a, b) =>
        first(a.found) - first(b.found) ||
        rank(a.found) - rank(b.found) ||
        b.score - a.score ||
        a.found.label.length - b.found.label.length ||
        a.found.label.localeCompare(b.found.label),
    );
    this.offered = scored.slice(0, MOST).map(({ found }) => found);
    return this.offered.map(({ id, kind, label, detail }) => ({ id, kind, label, detail }));
  }

  /** The files of the workspace, those that were used lately first. */
  async files(): Promise<{ label: string; uri: vscode.Uri }[]> {
    const recent = this.recent();
    const rank = (uri: vscode.Uri) => (recent.includes(uri.toString()) ? recent.indexOf(uri.toString()) : MOST_RECENT);
    const items = (await this.uris()).map((uri) => ({ label: shownPath(uri), uri }));
    return items.sort((a, b) => rank(a.uri) - rank(b.uri) || a.label.localeCompare(b.label));
  }

  /** @throws Refusal */
  async take(id: string): Promise<Attachment> {
    const found = this.offered.find((one) => one.id === id);
    if (!found) throw new Refusal("The list has changed. Type # again.");
    const made = await found.make();
    await this.used(id);
    return made;
  }

  async used(id: string): Promise<void> {
    const recent = [id, ...this.recent().filter((one) => one !== id)].slice(0, MOST_RECENT);
    await this.services.context.workspaceState.update(RECENT_KEY, recent);
  }

  private recent(): string[] {
    return this.services.context.workspaceState.get<string[]>(RECENT_KEY, []);
  }

  private fromEditor(): Found[] {
    const editor = vscode.window.activeTextEditor;
    if (!editor) return [];
    const { privacy } = this.services;
    const shown = shownPath(editor.document.uri);
    const problems = vscode.languages.getDiagnostics(editor.document.uri).length;
    const { selection } = editor;
    const found: Found[] = [
      { id: "open-file", kind: "open-file", label: "file", detail: `The open file, ${shown}`, make: () => attach("open-file", privacy) },
    ];
    if (!selection.isEmpty)
      found.unshift({
        id: "selection",
        kind: "selection",
        label: "selection",
        detail: `${selection.end.line - selection.start.line + 1} lines of ${shown}`,
        make: () => attach("selection", privacy),
      });
    if (problems > 0)
      found.push({
        id: "problems",
        kind: "problems",
        label: "problems",
        detail: `${problems} in ${shown}`,
        make: () => attach("problems", privacy),
      });
    return found;
  }

  private async allFiles(): Promise<Found[]> {
    const make = (uri: vscode.Uri) => () => attachFile(uri, this.services.privacy);
    return (await this.uris()).map((uri) => ({ id: uri.toString(), kind: "file", label: shownPath(uri), detail: "", make: make(uri) }));
  }

  private async uris(): Promise<readonly vscode.Uri[]> {
    if (!this.listed || Date.now() - this.listed.at > FILES_FOR_MS)
      this.listed = { at: Date.now(), uris: vscode.workspace.findFiles("**/*", "**/{node_modules,.git,dist,out,build}/**", MOST_FILES) };
    return await this.listed.uris;
  }

  /** Symbols of the open file, and of the workspace once two letters were typed. */
  private async symbols(query: string): Promise<Found[]> {
    const document = vscode.window.activeTextEditor?.document;
    const command = <T>(id: string, argument: unknown) =>
      vscode.commands.executeCommand<T[] | undefined>(id, argument).then(
        (found) => found ?? [],
        () => [] as T[],
      );
    const [own, all] = await Promise.all([
      document ? command<vscode.DocumentSymbol | vscode.SymbolInformation>("vscode.executeDocumentSymbolProvider", document.uri) : [],
      query.length >= 2 ? command<vscode.SymbolInformation>("vscode.executeWorkspaceSymbolProvider", query) : [],
    ]);
    const here = document ? own.flatMap((symbol) => flat(symbol, document.uri)) : [];
    const found = new Map<string, Found>();
    for (const { name, location } of [...here, ...all]) {
      const id = `${location.uri} ${name} ${location.range.start.line}`;
      const make = () => attachSymbol(name, location, this.services.privacy);
      if (!found.has(id)) found.set(id, { id, kind: "symbol", label: name, detail: shownPath(location.uri), make });
    }
    return [...found.values()];
  }
}

function flat(symbol: vscode.DocumentSymbol | vscode.SymbolInformation, uri: vscode.Uri): { name: string; location: vscode.Location }[] {
  if ("location" in symbol) return [symbol];
  return [{ name: symbol.name, location: new vscode.Location(uri, symbol.range) }, ...symbol.children.flatMap((child) => flat(child, uri))];
}
