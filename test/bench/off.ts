/**
 * What our patches do where calibration is off: prefill and decode of our binary and of an unpatched build with the same flags, in two processes
 * that take turns, FlashAttention on, two threads, on a quiet machine and beside a process that only counts.
 * `node scripts/run.mjs bench off`; builds the unpatched one first, once (5 minutes).
 */
import { type ChildProcess, fork, spawn } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import type { BuildContext } from "../../scripts/context.js";
import { ensureDefaultModel } from "../../scripts/fetch/model.js";
import { setUpReference } from "../../scripts/native/native.js";
import { COMPUTING } from "../../src/client/client.js";
import { ratioOfMedians } from "../../src/core/numbers/timing.js";

const ROUNDS = Number(process.env.ACT_BENCH_ROUNDS ?? 20);
const WORK = { prefill: 512, decode: 24 };

type Seen = Record<"prefill" | "decode", number[]>;
type Ratios = Record<keyof Seen, ReturnType<typeof ratioOfMedians>>;

export async function run(context: BuildContext): Promise<Record<"quiet" | "beside", Ratios>> {
  const model = await ensureDefaultModel(context.cache);
  const packages = { ours: context.nodeLlamaCpp, unpatched: await setUpReference(context) };
  const workers = new Map<keyof typeof packages, ChildProcess>();
  const turns = async (rounds: number): Promise<Ratios> => {
    const seen: Record<keyof typeof packages, Seen> = { ours: { prefill: [], decode: [] }, unpatched: { prefill: [], decode: [] } };
    for (let round = -1; round < rounds; round++)
      for (const [name, worker] of round % 2 ? [...workers] : [...workers].reverse()) {
        worker.send(WORK);
        const [{ prefillMs, decodeMs }] = await once(worker, "message");
        if (round < 0) continue; // the first meets cold caches
        seen[name].prefill.push(prefillMs);
        seen[name].decode.push(decodeMs);
      }
    const ratio = (what: keyof Seen) => ratioOfMedians(seen.unpatched[what], seen.ours[what]);
    return { prefill: ratio("prefill"), decode: ratio("decode") };
  };
  try {
    for (const name of ["ours", "unpatched"] as const) {
      const worker = fork("test/fixtures/stock-speed.mjs", [packages[name], model], {
        execArgv: [],
        // How long threads spin is part of ours.
        env: { ...process.env, ...COMPUTING, ...(name === "unpatched" ? { GOMP_SPINCOUNT: undefined } : {}) },
      });
      workers.set(name, worker);
      await once(worker, "message");
    }
    const quiet = await turns(ROUNDS);
    const counting = spawn(process.execPath, ["-e", "for (;;);"]);
    try {
      return { quiet, beside: await turns(ROUNDS) };
    } finally {
      counting.kill("SIGKILL");
    }
  } finally {
    for (const worker of workers.values()) worker.kill();
  }
}
