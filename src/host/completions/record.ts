import * as vscode from "vscode";
import type { FilterName } from "../../core/completion/postprocess.js";
import type { Timings } from "../../protocol/engine.js";
import { registerCommand } from "../commands.js";

/** One request for a suggestion, from key press to what became of it. Times in milliseconds. */
export interface RecordEntry {
  at: string;
  file: string;
  language: string;
  line: number;
  /** `ahead`: what comes behind a shown suggestion, before it is accepted. */
  trigger: "typing" | "invoked" | "ahead";
  outcome: "shown" | "nothing" | "cancelled" | "paused" | "failed" | "waiting";
  /** Why nothing appeared, in a sentence. */
  reason?: string;
  extent?: "line" | "block";
  form?: "fill-in-the-middle" | "prefix";
  calibrated?: boolean;
  source?: "engine" | "cache" | "ahead";
  waitedMs?: number;
  /** From sending the request to its answer. */
  engineMs?: number;
  /** Everything else: context, messages, post-processing. */
  hostMs?: number;
  totalMs?: number;
  prefixCharacters?: number;
  suffixCharacters?: number;
  context?: { file: string; line: number }[];
  timings?: Timings;
  filters?: FilterName[];
  droppedBy?: FilterName;
  answer?: string;
}

const KEPT = 50;
const SCHEME = "act-record";

/** The last fifty requests: "Why did nothing appear?". Kept in memory only. */
export class CompletionRecord implements vscode.TextDocumentContentProvider, vscode.Disposable {
  private readonly entries: RecordEntry[] = [];
  private readonly changed = new vscode.EventEmitter<vscode.Uri>();
  readonly onDidChange = this.changed.event;
  private readonly uri = vscode.Uri.from({ scheme: SCHEME, path: "/Why did nothing appear.md" });
  private readonly registrations: vscode.Disposable;

  constructor(private readonly now: () => string | null) {
    this.registrations = vscode.Disposable.from(
      vscode.workspace.registerTextDocumentContentProvider(SCHEME, this),
      registerCommand("act.whyNothing", () => this.show()),
      registerCommand("act.copyRecord", async () => {
        await vscode.env.clipboard.writeText(JSON.stringify(this.entries, null, 2));
        vscode.window.setStatusBarMessage(`ACT: ${this.entries.length} requests copied as JSON`, 3000);
      }),
    );
  }

  get all(): readonly RecordEntry[] {
    return this.entries;
  }

  add(entry: RecordEntry): void {
    this.entries.push(entry);
    if (this.entries.length > KEPT) this.entries.shift();
  }

  async show(): Promise<void> {
    this.changed.fire(this.uri);
    const document = await vscode.workspace.openTextDocument(this.uri);
    await vscode.window.showTextDocument(document, { preview: true });
  }

  provideTextDocumentContent(): string {
    const now = this.now();
    const head = ["# Why did nothing appear?", "", now ? `**Right now:** ${now}` : "**Right now:** suggestions are on.", ""];
    if (this.entries.length === 0)
      return [...head, "No suggestion has been asked for yet in this window: open a file and type."].join("\n");
    return [
      ...head,
      `The last ${this.entries.length} requests, newest first. "ACT: Copy Completion Record as JSON" copies them.`,
      "",
      ...this.entries.toReversed().flatMap(describe),
    ].join("\n");
  }

  dispose(): void {
    this.registrations.dispose();
    this.changed.dispose();
  }
}

function describe(entry: RecordEntry): string[] {
  const lines = [`## ${entry.at.slice(11, 23)} ${entry.file}:${entry.line + 1}: ${entry.outcome}`, ""];
  const add = (name: string, value: string | undefined) => {
    if (value) lines.push(`- ${name}: ${value}`);
  };
  add("Why", entry.reason);
  add(
    "Trigger",
    `${entry.trigger}${entry.extent ? `, ${entry.extent}` : ""}${entry.form ? `, ${entry.form}` : ""}${entry.calibrated ? ", ACT on" : ""}${entry.source === "cache" ? ", from the cache" : entry.source === "ahead" ? ", computed ahead" : ""}`,
  );
  if (entry.prefixCharacters !== undefined)
    add("Text", `${entry.prefixCharacters} characters before the cursor, ${entry.suffixCharacters} after`);
  add("Related", entry.context?.map((c) => `${c.file}:${c.line + 1}`).join(", "));
  const t = entry.timings;
  if (t)
    add(
      "Tokens",
      `${t.promptTokens} in (${t.reusedTokens} from the cache), ${t.generatedTokens} out; ${t.prefillTokensPerSecond.toFixed(0)} and ${t.decodeTokensPerSecond.toFixed(0)} per second`,
    );
  const times = [
    entry.waitedMs !== undefined ? `waited ${entry.waitedMs.toFixed(0)} for the next key` : "",
    t ? `queue ${t.queueMs.toFixed(0)}, first token ${t.firstTokenMs.toFixed(0)}` : "",
    entry.engineMs !== undefined ? `engine ${entry.engineMs.toFixed(0)}` : "",
    entry.hostMs !== undefined ? `host ${entry.hostMs.toFixed(1)}` : "",
    entry.totalMs !== undefined ? `together ${entry.totalMs.toFixed(0)}` : "",
  ].filter((s) => s !== "");
  add("Milliseconds", times.join("; "));
  add("Filters", entry.filters?.join(", "));
  add("Dropped by", entry.droppedBy);
  if (entry.answer !== undefined) lines.push("", "````", entry.answer, "````");
  return [...lines, ""];
}
