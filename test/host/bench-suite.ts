/** Not a test but measurements inside the real extension host; `node scripts/run.mjs bench extension` shows them. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { setPriority } from "node:os";
import { join } from "node:path";
import * as vscode from "vscode";
import { runAll, test, until } from "./harness.js";
import { EXTENSION, openWith, services } from "./services.js";

export interface HostFigures {
  activationMs: number;
  /** Per suggestion with a warm prefix: everything, the engine's own time, the way there and back, our work around it. */
  suggestions: { totalMs: number; engineMs: number; rpcMs: number; hostMs: number }[];
  /** From cancelling a request inside its prefill to the engine's first token for another one, less that one's own time. */
  abortMs: number[];
  /** One key press until the editor's text has it: with an idle engine, beside one process that only counts, and while a chat answer streams. */
  typingMs: { idle: number[]; counting: number[]; busy: number[] };
  memory: { rss: number; heapUsed: number };
}

const figures: HostFigures = {
  activationMs: 0,
  suggestions: [],
  abortMs: [],
  typingMs: { idle: [], counting: [], busy: [] },
  memory: { rss: 0, heapUsed: 0 },
};
const BODY = Array.from({ length: 30 }, (_, i) => `def step_${i}(value):\n    return value + ${i}\n\n`).join("\n");
/** The pace of a fast typist. */
const KEY_EVERY_MS = 100;
const invoke: vscode.InlineCompletionContext = {
  triggerKind: vscode.InlineCompletionTriggerKind.Invoke,
  selectedCompletionInfo: undefined,
};
const never = () => new vscode.CancellationTokenSource().token;

test("suggestions", async () => {
  const { completions, record, activationMs } = await services();
  // The bundle is loaded once more, from nothing, to time what activation waits for.
  const bundle = join(vscode.extensions.getExtension(EXTENSION)?.extensionPath ?? "", "dist/host.cjs");
  delete require.cache[bundle];
  const loading = performance.now();
  require(bundle);
  figures.activationMs = performance.now() - loading + activationMs;
  const editor = await openWith("bench.py", `${BODY}\ndef total(values):\n    result = ‸\n`);
  for (let i = 0; i < 25; i++) {
    // Another letter each time: the prefix is warm, the answer is not in the cache.
    await editor.edit((edit) => edit.insert(editor.selection.active, "abcdefghijklmnopqrstuvwxyz"[i] ?? "z"));
    await completions.provideInlineCompletionItems(editor.document, editor.selection.active, invoke, never());
    const entry = record.all.at(-1);
    if (!entry?.timings || entry.engineMs === undefined || i < 3) continue;
    const t = entry.timings;
    const inside = t.queueMs + t.firstTokenMs + (t.generatedTokens > 1 ? ((t.generatedTokens - 1) / t.decodeTokensPerSecond) * 1000 : 0);
    figures.suggestions.push({
      totalMs: entry.totalMs ?? 0,
      engineMs: inside,
      rpcMs: Math.max(0, entry.engineMs - inside),
      hostMs: entry.hostMs ?? 0,
    });
  }
}, 300_000);

test("abort", async () => {
  const { engine } = await services();
  const tiny = { prompt: "a", maxTokens: 1, calibration: null };
  for (let i = 0; i < 15; i++) {
    const abort = new AbortController();
    const long = engine.request(
      "infill",
      { prefix: `# ${i}\n${BODY.slice(i * 10)}`, suffix: "", maxTokens: 32, calibration: null },
      { signal: abort.signal },
    );
    await new Promise((resolve) => setTimeout(resolve, 60 + i * 7));
    const at = performance.now();
    abort.abort();
    const [, next] = await Promise.allSettled([long, engine.request("complete", tiny)]);
    if (next.status === "fulfilled") figures.abortMs.push(Math.max(0, performance.now() - at - next.value.timings.firstTokenMs));
  }
}, 300_000);

test("typing", async () => {
  const { chat } = await services();
  const editor = await openWith("typing.txt", "‸");
  const type = async (into: number[]) => {
    await vscode.window.showTextDocument(editor.document);
    for (let i = 0; i < 25; i++) {
      const at = performance.now();
      await vscode.commands.executeCommand("type", { text: "x" });
      const took = performance.now() - at;
      into.push(took);
      await new Promise((resolve) => setTimeout(resolve, KEY_EVERY_MS - took));
    }
  };
  const state = () => chat.conversation.turns.at(-1)?.answers[0]?.state;
  const { idle, counting, busy } = figures.typingMs;
  for (let round = 0; round < 5; round++) {
    await type(idle);
    // What any other program does to the editor on this machine: at the engine's priority, without memory or disk.
    const other = spawn(process.execPath, ["-e", "for (;;);"], { env: { ...process.env, ELECTRON_RUN_AS_NODE: "1" } });
    setPriority(other.pid as number, 5);
    await new Promise((resolve) => setTimeout(resolve, 500));
    await type(counting);
    other.kill("SIGKILL");
    const sending = chat.receive({ type: "send", text: "Write a very long story about a river." });
    await until("streaming", () => state() === "streaming", 30_000);
    await type(busy);
    assert.equal(state(), "streaming", "the answer ended before the typing did");
    await chat.receive({ type: "stop" });
    await sending;
  }
  const { rss, heapUsed } = process.memoryUsage();
  figures.memory = { rss, heapUsed };
  const out = process.env.ACT_HOST_FIGURES;
  if (out) writeFileSync(out, JSON.stringify(figures, null, 1));
}, 300_000);

export const run = runAll;
