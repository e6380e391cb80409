import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { EngineClient } from "../../src/client/client.js";
import type { LoadParams, LogitsResult } from "../../src/protocol/engine.js";
import { DEFAULT_MODEL, modelPath } from "../../src/store/models.js";
import { type Case, calibrationOf, cases, divergence, largestDifference, type Run, sinkDifferences } from "./oracle-data.js";
import { float32Model } from "./support/dequantise.js";

const quantised = process.env.ACT_MODEL || modelPath(DEFAULT_MODEL);
let float32: string;
const client = new EngineClient({ entry: "dist/engine.mjs", backoffMs: [] });
before(async () => {
  float32 = await float32Model(quantised);
});
after(() => client.dispose());

/** Evaluates a run exactly as the oracle did: the prompt as one segment, or in ubatches, then its forced tokens one by one. */
async function evaluate(given: Case, run: Run, load: LoadParams): Promise<LogitsResult> {
  const ubatch = run.ubatch ?? undefined;
  const wanted = JSON.stringify({ ...load, ubatch });
  if (loaded !== wanted) await client.request("load", { ...load, ...(ubatch && { ubatch }), sequences: 0, contextSize: 1024, threads: 2 });
  loaded = wanted;
  return await client.request("logits", {
    tokens: given.ids,
    calibration: calibrationOf(run),
    ...(run.decode.length > 0 && { forced: given.forced }),
    split: ubatch !== undefined,
  });
}
let loaded = "";

/** Every recorded state of a run with what the engine makes of it: the prompt, then each forced token. */
function states(run: Run, result: LogitsResult) {
  assert.equal(result.decode.length, run.decode.length);
  return [
    { what: "prompt", oracle: run, ours: result },
    ...run.decode.map((oracle, step) => ({ what: `token ${step}`, oracle, ours: result.decode[step] as LogitsResult["decode"][number] })),
  ];
}

const ordered = (given: Case) => Object.entries(given.runs).sort(([, a], [, b]) => (a.ubatch ?? 0) - (b.ubatch ?? 0));

test("float32 weights and cache: logits within 1e-3, KL under 1e-6, sinks equal, prompt and decode steps", async (context) => {
  let worst = 0;
  for (const given of cases) {
    for (const [name, run] of ordered(given)) {
      const result = await evaluate(given, run, { path: float32, backend: "cpu", flashAttention: "off", cacheType: "f32" });
      for (const { what, oracle, ours } of states(run, result)) {
        const where = `${given.name} ${name} ${what}`;
        const difference = largestDifference(ours.logits, oracle.logits);
        worst = Math.max(worst, difference);
        assert.ok(difference < 1e-3, `${where}: logits differ by ${difference}`);
        assert.ok(divergence(ours.logits, oracle.logits) < 1e-6, `${where}: KL`);
        assert.deepEqual(sinkDifferences(ours.sinks, oracle.sinks, false), [], where);
      }
    }
  }
  context.diagnostic(`largest logit difference ${worst.toExponential(1)}`);
});

// llama.cpp gives FlashAttention f16 keys and values whatever the cache holds, so this is also what an f32 cache does with it. Rounded keys
// flip columns at the threshold; with all heads calibrated the logits follow (measured: 4e-3 after a prompt in one segment, 6e-3 in ubatches,
// where every ubatch compares anew, 1e-2 after decode steps).
const FLASH_KL = {
  prompt: { none: 1e-5, few: 1e-4, all: 5e-3, ubatches: 2e-2 },
  decode: { none: 1e-4, few: 1e-4, all: 3e-2, ubatches: 3e-2 },
};

test("float32 weights, f16 cache, FlashAttention: KL within what f16 keys flip, sinks equal away from the limit", async (context) => {
  const worst: Record<string, number> = {};
  for (const given of cases) {
    for (const [name, run] of ordered(given)) {
      const result = await evaluate(given, run, { path: float32, backend: "cpu", flashAttention: "on", cacheType: "f16" });
      const heads = name === "none" ? "none" : run.ubatch !== null ? "ubatches" : name.startsWith("all") ? "all" : "few";
      for (const { what, oracle, ours } of states(run, result)) {
        const where = `${given.name} ${name} ${what}`;
        const step = what === "prompt" ? "prompt" : "decode";
        const kl = divergence(ours.logits, oracle.logits);
        worst[`${step} ${heads}`] = Math.max(worst[`${step} ${heads}`] ?? 0, kl);
        assert.ok(kl < FLASH_KL[step][heads], `${where}: KL ${kl}`);
        const differences = sinkDifferences(ours.sinks, oracle.sinks, true);
        // With all heads calibrated a flip at the limit moves columns of the layers above it, across theirs where the limit is low (relative) or the
        // rows that are counted are few (a second ubatch): some of 243 heads then differ, and never before a layer with a flip at the limit.
        const allowed = run.mode === "fixed" && run.ubatch === null ? 0 : ours.sinks.length / 10;
        assert.ok(differences.length <= allowed, `${where}: ${differences.join("; ")}`);
        const [first, flip] = [differences, sinkDifferences(ours.sinks, oracle.sinks, false)].map(([line = ""]) =>
          Number(/\d+/.exec(line)),
        );
        assert.ok(differences.length === 0 || (flip as number) < (first as number), `${where}: no flip before ${differences[0]}`);
      }
    }
  }
  context.diagnostic(
    `largest KL: ${Object.entries(worst)
      .map(([what, kl]) => `${what} ${kl.toExponential(1)}`)
      .join(", ")}`,
  );
});

test("the quantised model: within its noise of the oracle, and nearer to the calibrated run than to the uncalibrated one", async (context) => {
  const worst: Record<string, number> = {};
  for (const given of cases) {
    for (const [name, run] of ordered(given)) {
      const result = await evaluate(given, run, { path: quantised, backend: "cpu", flashAttention: "on" });
      const kl = divergence(result.logits, run.logits);
      worst[name] = Math.max(worst[name] ?? 0, kl);
      // The noise of the weights flips columns near the limit (four of 20 heads in the long prompt); which ones is down to the last rounding:
      // two versions of the op that differed in one exponential function gave 0.005 and 0.028 for `sparse`.
      const limit = name.startsWith("all") ? 0.06 : name === "none" ? 0.02 : 0.04;
      assert.ok(kl < limit, `${given.name} ${name}: KL ${kl}`);
      const none = given.runs.none as Run;
      if (name === "all" || name === "all_relative")
        assert.ok(kl < divergence(result.logits, none.logits) / 2, `${given.name} ${name} is as near to the uncalibrated run`);
      const [[best = -1, first = 0] = [], [, second = 0] = []] = run.logits.top;
      if (first - second > 1)
        assert.ok(
          result.logits.every((logit) => logit <= (result.logits[best] ?? 0)),
          `${given.name} ${name}: another token comes first`,
        );
    }
  }
  context.diagnostic(
    `largest KL: ${Object.entries(worst)
      .map(([name, kl]) => `${name} ${kl.toExponential(1)}`)
      .join(", ")}`,
  );
});
