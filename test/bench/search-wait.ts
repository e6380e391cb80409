/**
 * How long a user's completion waits while a head search runs behind it, and how soon a cancelled search lets go (issue 4, section 2):
 * `ACT_DATA=DIR node scripts/run.mjs bench search-wait`. The wanted figures: under 150 ms, and under 100 ms.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import type { BuildContext } from "../../scripts/context.js";
import { ensureDefaultModel } from "../../scripts/fetch/model.js";
import { EngineClient } from "../../src/client/client.js";
import { type Spread, spread } from "../../src/core/numbers/timing.js";
import type { CalibrateParams } from "../../src/protocol/engine.js";

const REQUESTS = 60;
const CANCELS = 12;

export interface SearchWait {
  task: string;
  /** From an inline completion's arrival to its turn. */
  waitMs: Spread;
  /** From cancelling the search to its end. */
  cancelMs: Spread;
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

export async function run(context: BuildContext): Promise<SearchWait[]> {
  const folder = mkdtempSync(path.join(tmpdir(), "act-search-wait-"));
  const client = new EngineClient({ entry: path.join(context.root, "dist/engine.mjs") });
  const rows: SearchWait[] = [];
  try {
    await client.request("load", { path: await ensureDefaultModel(context.cache), contextSize: 2048 });
    for (const task of ["sst2", "AGNews"]) {
      let searches = 0;
      const search = () => {
        const stop = new AbortController();
        const params: CalibrateParams = {
          tasks: [task],
          ...(process.env.ACT_DATA ? { data: process.env.ACT_DATA } : {}),
          method: "act",
          beta: 0.4,
          threshold: { mode: "fixed", value: 0.1 },
          statistics: "running",
          seed: 42,
          resume: false,
          journal: path.join(folder, `${task}-${searches++}.jsonl`),
        };
        let began = () => {};
        const progress = new Promise<void>((resolve) => {
          began = resolve;
        });
        const request = client.request("calibrate", params, { signal: stop.signal, onProgress: () => began() });
        const ended = request.then(
          () => "ended",
          () => "cancelled",
        );
        // A search that fails before its first progress (no data, say) ends the benchmark instead of keeping it waiting.
        return { stop, ended, running: Promise.race([progress, request]) };
      };
      const typed = async (text: string) =>
        (await client.request("infill", { prefix: text, suffix: "", maxTokens: 1, calibration: null })).timings.queueMs;

      const first = search();
      await first.running;
      const waits: number[] = [];
      for (let i = 0; i < REQUESTS; i++) {
        await pause(150 + (i % 7) * 23);
        waits.push(await typed(`def f${i}(x):`));
      }
      first.stop.abort();
      await first.ended;

      const cancels: number[] = [];
      for (let i = 0; i < CANCELS; i++) {
        const one = search();
        await one.running;
        await pause(300 + i * 37);
        const at = performance.now();
        one.stop.abort();
        if ((await one.ended) === "ended") throw new Error("The search ended before it was cancelled.");
        cancels.push(performance.now() - at);
      }
      rows.push({ task, waitMs: spread(waits), cancelMs: spread(cancels) });
    }
  } finally {
    client.dispose();
    rmSync(folder, { recursive: true, force: true });
  }
  return rows;
}
