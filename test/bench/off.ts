/**
 * What our patches cost where calibration is off: prefill and decode of our binary and of an unpatched build with the same flags, in two processes
 * that take turns, FlashAttention on, two threads. `node src/build/run.mjs bench off`; builds the unpatched one first, once (5 minutes).
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import type { BuildContext } from "../../src/build/context.js";
import { ensureDefaultModel } from "../../src/build/model.js";
import { setUpReference } from "../../src/build/native.js";
import { COMPUTING } from "../../src/client/client.js";
import { ratioOfMedians } from "../../src/core/bench-statistics.js";

const ROUNDS = Number(process.env.ACT_BENCH_ROUNDS ?? 20);
const WORK = { prefill: 512, decode: 24 };

export async function run(context: BuildContext): Promise<Record<"prefill" | "decode", ReturnType<typeof ratioOfMedians>>> {
  const model = await ensureDefaultModel(context.cache);
  const packages = { ours: context.nodeLlamaCpp, unpatched: await setUpReference(context) };
  const seen = {
    ours: { prefill: [] as number[], decode: [] as number[] },
    unpatched: { prefill: [] as number[], decode: [] as number[] },
  };
  const workers = new Map<keyof typeof seen, ChildProcess>();
  try {
    for (const name of ["ours", "unpatched"] as const) {
      const worker = fork("test/fixtures/stock-speed.mjs", [packages[name], model], {
        execArgv: [],
        env: { ...process.env, ...COMPUTING },
      });
      workers.set(name, worker);
      await once(worker, "message");
    }
    for (let round = -1; round < ROUNDS; round++)
      for (const [name, worker] of round % 2 ? [...workers] : [...workers].reverse()) {
        worker.send(WORK);
        const [{ prefillMs, decodeMs }] = await once(worker, "message");
        if (round < 0) continue; // the first meets cold caches
        seen[name].prefill.push(prefillMs);
        seen[name].decode.push(decodeMs);
      }
  } finally {
    for (const worker of workers.values()) worker.kill();
  }
  const ratio = (what: "prefill" | "decode") => ratioOfMedians(seen.unpatched[what], seen.ours[what]);
  return { prefill: ratio("prefill"), decode: ratio("decode") };
}
