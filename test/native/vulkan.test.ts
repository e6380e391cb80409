// The engine on a Vulkan device, end to end: the shortest prompt of the oracle, and what calibration does to the graph.
import assert from "node:assert/strict";
import process from "node:process";
import { after, before, test } from "node:test";
import { float32Model } from "../../src/build/dequantise.js";
import { EngineClient } from "../../src/client/client.js";
import type { LogitsResult } from "../../src/protocol/engine.js";
import { DEFAULT_MODEL, modelPath } from "../../src/store/models.js";
import {
  type Case,
  calibrationOf,
  cases,
  divergence,
  type Logits,
  largestDifference,
  type Run,
  type Sinks,
  sinkDifferences,
} from "./oracle-data.js";
import { noVulkan } from "./vulkan.js";

// The engine process inherits these: the software device is wanted, and matrix products in float32 like everything else.
process.env.GGML_VK_VISIBLE_DEVICES ??= "0";
process.env.GGML_VK_DISABLE_F16 = "1";

const client = new EngineClient({ entry: "dist/engine.mjs", backoffMs: [] });
const shortest = cases.reduce((best, one) => (one.ids.length < best.ids.length ? one : best)) as Case;
/** Decode steps: enough to see the running statistics work, few enough for a software device. */
const STEPS = 2;

before(async () => {
  if (noVulkan) return;
  const path = await float32Model(process.env.ACT_MODEL || modelPath(DEFAULT_MODEL));
  await client.request("load", {
    path,
    backend: "vulkan",
    gpuLayers: 99,
    sequences: 0,
    contextSize: 256,
    threads: 2,
    flashAttention: "off",
    cacheType: "f32",
  });
});
after(() => client.dispose());

test("without a driver: Vulkan is refused in a sentence when asked for, and the CPU steps in when not", { skip: noVulkan }, async () => {
  const none = "/nonexistent.json";
  const blind = new EngineClient({ entry: "dist/engine.mjs", backoffMs: [], env: { VK_ICD_FILENAMES: none, VK_DRIVER_FILES: none } });
  try {
    const path = process.env.ACT_MODEL || modelPath(DEFAULT_MODEL);
    const load = (backend: "vulkan" | "auto") => blind.request("load", { path, backend, sequences: 0, contextSize: 256 });
    const { backends } = await blind.request("handshake", { probe: true });
    const vulkan = backends.find(({ name }) => name === "vulkan");
    assert.ok(vulkan?.reason, "doctor says why there is no device");
    await assert.rejects(load("vulkan"), { code: "unsupported", message: /vulkan.*cannot be used/ });
    const info = await load("auto");
    assert.equal(info.backend, "cpu");
    assert.match(info.backendReason, /The CPU is used:.*vulkan/);
  } finally {
    blind.dispose();
  }
});

test("with everything on one device, calibration cuts the graph nowhere", { skip: noVulkan }, async () => {
  const { rows } = await client.request("bench", { phases: ["splits"], lengths: [16], depths: [16], rounds: 1 });
  assert.equal(rows.length, 1);
  const [without, withAll] = rows[0]?.interval ?? [0, -1];
  assert.ok(without > 0);
  assert.equal(withAll, without, `${without} parts without calibration, ${withAll} with all heads`);
});

test("all heads calibrated, prompt and decode steps: KL under 1e-6, sinks equal", { skip: noVulkan }, async (t) => {
  const run = shortest.runs.all as Run;
  const forced = shortest.forced.slice(0, STEPS);
  const result = await client.request("logits", { tokens: shortest.ids, calibration: calibrationOf(run), forced });
  const states: { ours: Pick<LogitsResult, "logits" | "sinks">; oracle: { logits: Logits; sinks?: Sinks } }[] = [
    { ours: result, oracle: run },
  ];
  for (const [step, ours] of result.decode.entries()) {
    const oracle = run.decode[step];
    assert.ok(oracle);
    states.push({ ours, oracle });
  }
  assert.equal(states.length, 1 + STEPS);
  for (const [i, { ours, oracle }] of states.entries()) {
    const where = `${shortest.name}, ${i === 0 ? "prompt" : `token ${i - 1}`}`;
    const kl = divergence(ours.logits, oracle.logits);
    // 4e-3 was measured on llvmpipe, whose exponentials and sums differ from the CPU in the last places
    const difference = largestDifference(ours.logits, oracle.logits);
    t.diagnostic(`${where}: KL ${kl.toExponential(1)}, largest logit difference ${difference.toExponential(1)}`);
    assert.ok(kl < 1e-6, `${where}: KL ${kl}`);
    assert.ok(difference < 1e-2, `${where}: logits differ by ${difference}`);
    assert.deepEqual(sinkDifferences(ours.sinks, oracle.sinks, false), [], where);
  }
});
