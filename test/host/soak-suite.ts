/** Not a test but a long look at memory: `node scripts/run.mjs bench soak`. Types, completes and chats for ACT_SOAK_MINUTES, and writes down who holds how much. */
import { readFileSync, writeFileSync } from "node:fs";
import * as vscode from "vscode";
import { runAll, test } from "./harness.js";
import { openWith, services } from "./services.js";

export interface SoakSample {
  minute: number;
  hostRss: number;
  hostHeap: number;
  engineRss: number | null;
  requests: number;
}

const MINUTES = Number(process.env.ACT_SOAK_MINUTES ?? 60);
/** A person's pace: an hour should show what an hour of use does, and leave the machine usable meanwhile. */
const think = () => new Promise((resolve) => setTimeout(resolve, 1500));
const BODY = Array.from({ length: 20 }, (_, i) => `def step_${i}(value):\n    return value + ${i}\n\n`).join("\n");

test(
  "soak",
  async () => {
    const { engine, completions, chat } = await services();
    const samples: SoakSample[] = [];
    let requests = 0;
    const started = Date.now();
    const sample = () => {
      const { rss, heapUsed } = process.memoryUsage();
      samples.push({ minute: (Date.now() - started) / 60_000, hostRss: rss, hostHeap: heapUsed, engineRss: rssOf(engine.pid), requests });
      writeFileSync(process.env.ACT_HOST_FIGURES ?? "", JSON.stringify(samples));
    };
    await engine.model();
    sample();
    for (let round = 0; Date.now() - started < MINUTES * 60_000; round++) {
      const editor = await openWith(`soak${round % 5}.py`, `${BODY}\n# round ${round}\ndef total(values):\n    result = ‸\n`);
      for (let i = 0; i < 10; i++, requests++) {
        await editor.edit((edit) => edit.insert(editor.selection.active, "abcdefghij"[i] ?? "k"));
        const context = { triggerKind: vscode.InlineCompletionTriggerKind.Invoke, selectedCompletionInfo: undefined };
        await completions.provideInlineCompletionItems(
          editor.document,
          editor.selection.active,
          context,
          new vscode.CancellationTokenSource().token,
        );
        await think();
      }
      if (round % 6 === 5) await chat.receive({ type: "new" });
      await chat.receive({ type: "send", text: `Question ${round}: what is ${round} plus ${round}?` });
      requests++;
      await think();
      if (Date.now() - started > samples.length * 60_000 * Math.min(1, MINUTES / 10)) sample();
    }
    sample();
  },
  MINUTES * 60_000 + 120_000,
);

/** Resident bytes of a process; null where the system does not tell. */
function rssOf(pid: number | undefined): number | null {
  try {
    return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) * 1024;
  } catch {
    return null;
  }
}

export const run = runAll;
