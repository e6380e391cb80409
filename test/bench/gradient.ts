/**
 * What a gradient of every head costs beside a forward pass of the same prompt: `node scripts/run.mjs bench gradient` (ACT_MODEL: another model).
 * Both take turns in one context, labels after prompts of several lengths and texts of 16 tokens; memory is what the context grew by. Time that
 * passed with two threads, or with ACT_BENCH_CLOCK=cpu the process's CPU time with one thread, for a machine that does other things meanwhile.
 */
import process from "node:process";
import { random } from "../../src/core/numbers/random.js";
import { quantile } from "../../src/core/numbers/timing.js";
import { Backends } from "../../src/engine/native/backends.js";
import { preflight } from "../../src/engine/native/preflight.js";
import type { Turn } from "../../src/engine/queue.js";
import { Model } from "../../src/engine/run/model.js";
import { type GradientItem, withGradients } from "../../src/engine/search/gradient.js";
import { DEFAULT_MODEL, modelPath } from "../../src/store/models.js";

const LENGTHS = (process.env.ACT_BENCH_LENGTHS ?? "32,100,256,1024").split(",").map(Number);
const ROUNDS = Number(process.env.ACT_BENCH_ROUNDS ?? 9);
const TEXT = 16;
const CPU = process.env.ACT_BENCH_CLOCK === "cpu";
const now = () => (CPU ? process.cpuUsage().user / 1000 : performance.now());
const never = new AbortController().signal;
const turn: Turn = { signal: never, waited: 0, pause: async () => {}, rest: async () => {}, during: (other) => other, preempted: never };

interface Row {
  tokens: number;
  objective: "labels" | "text";
  forwardMs: number;
  gradientMs: number;
  /** Forward and backward pass together, in forward passes: medians. */
  ratio: number;
  /** MiB that this process holds more than before the model's first gradient of the row. */
  grownMiB: number;
}

export async function run(): Promise<Row[]> {
  const path = process.env.ACT_MODEL || modelPath(DEFAULT_MODEL);
  const { header } = await preflight(path);
  const { backend, reason } = await new Backends(() => {}).choose("cpu");
  const file = { sha256: "unused", bytes: 0, shape: header, trainContext: header.trainContext, backendReason: reason };
  const model = await Model.load(backend, { path, sequences: 0, threads: CPU ? 1 : 2 }, file, () => {}, never);
  const rng = random(1);
  const words = (count: number) => Array.from({ length: count }, () => Math.floor(rng() * (model.info.vocabulary - 1000)) + 500);
  const rows: Row[] = [];
  for (const length of LENGTHS)
    for (const objective of ["labels", "text"] as const) {
      const item: GradientItem =
        objective === "labels"
          ? { tokens: words(length), answers: words(2), label: 0 }
          : { tokens: words(length - TEXT + 1), answers: [], truth: words(TEXT) };
      const before = process.memoryUsage().rss;
      const times: Record<"forward" | "gradient", number[]> = { forward: [], gradient: [] };
      const rule = { method: "act", threshold: { mode: "fixed", value: 0.1 }, statistics: "running" } as const;
      await withGradients(model, [item], rule, model.eligibleHeads, turn, async (scorer) => {
        const gradient = async () => {
          for await (const _ of scorer.gradient([0], null, never));
        };
        for (let round = -1; round < ROUNDS; round++)
          for (const [name, work] of [["forward", () => scorer.forward(0, never)] as const, ["gradient", gradient] as const]) {
            const start = now();
            await work();
            if (round >= 0) times[name].push(now() - start); // the first plans its buffers
          }
      });
      const [forwardMs, gradientMs] = [quantile(times.forward, 0.5), quantile(times.gradient, 0.5)];
      const grownMiB = (process.memoryUsage().rss - before) / 2 ** 20;
      rows.push({ tokens: length, objective, forwardMs, gradientMs, ratio: gradientMs / forwardMs, grownMiB });
      process.stderr.write(`${JSON.stringify(rows.at(-1))}\n`);
    }
  await model.dispose();
  return rows;
}
