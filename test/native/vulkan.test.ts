// The engine on a Vulkan device, end to end: the shortest prompt of the oracle, what calibration does to the graph, and what a device that
// lacks the op gets (a Mac on which its kernels fail their check).
import assert from "node:assert/strict";
import process from "node:process";
import { type TestContext, test } from "node:test";
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
import { float32Model } from "./support/dequantise.js";
import { noVulkan } from "./vulkan.js";

const model = process.env.ACT_MODEL || modelPath(DEFAULT_MODEL);
const shortest = cases.reduce((best, one) => (one.ids.length < best.ids.length ? one : best)) as Case;

/** The software device is wanted, and matrix products in float32 like everything else. */
const ENVIRONMENT = { GGML_VK_VISIBLE_DEVICES: process.env.GGML_VK_VISIBLE_DEVICES ?? "0", GGML_VK_DISABLE_F16: "1" };

async function withEngine(env: NodeJS.ProcessEnv, work: (client: EngineClient) => Promise<void>): Promise<void> {
  const client = new EngineClient({ entry: "dist/engine.mjs", backoffMs: [], env });
  try {
    await work(client);
  } finally {
    client.dispose();
  }
}

/** Every layer on the device, float32 weights and cache. */
async function loadOnDevice(client: EngineClient): Promise<void> {
  await client.request("load", {
    path: await float32Model(model),
    backend: "vulkan",
    gpuLayers: 99,
    sequences: 0,
    contextSize: 256,
    threads: 2,
    flashAttention: "off",
    cacheType: "f32",
  });
}

/** Parts of the graph without calibration, and with all heads. */
async function graphParts(client: EngineClient): Promise<[number, number]> {
  const { rows } = await client.request("bench", { phases: ["splits"], lengths: [16], depths: [16], rounds: 1 });
  assert.equal(rows.length, 1);
  return rows[0]?.interval as [number, number];
}

/** All heads calibrated, after the prompt and `steps` decode steps: KL under 1e-6, sinks equal. */
async function compareWithOracle(client: EngineClient, steps: number, t: TestContext): Promise<void> {
  const run = shortest.runs.all as Run;
  const forced = shortest.forced.slice(0, steps);
  const result = await client.request("logits", { tokens: shortest.ids, calibration: calibrationOf(run), forced });
  const states: { ours: Pick<LogitsResult, "logits" | "sinks">; oracle: { logits: Logits; sinks?: Sinks } }[] = [
    { ours: result, oracle: run },
  ];
  for (const [step, ours] of result.decode.entries()) states.push({ ours, oracle: run.decode[step] as Run["decode"][number] });
  assert.equal(states.length, 1 + steps);
  for (const [i, { ours, oracle }] of states.entries()) {
    const where = `${shortest.name}, ${i === 0 ? "prompt" : `token ${i - 1}`}`;
    const kl = divergence(ours.logits, oracle.logits);
    // 5e-3 was measured on llvmpipe, whose exponentials and sums differ from the CPU in the last places
    const difference = largestDifference(ours.logits, oracle.logits);
    t.diagnostic(`${where}: KL ${kl.toExponential(1)}, largest logit difference ${difference.toExponential(1)}`);
    assert.ok(kl < 1e-6, `${where}: KL ${kl}`);
    assert.ok(difference < 1e-2, `${where}: logits differ by ${difference}`);
    assert.deepEqual(sinkDifferences(ours.sinks, oracle.sinks, false), [], where);
  }
}

test("everything on one device: calibration cuts the graph nowhere, and agrees with the oracle", { skip: noVulkan }, async (t) => {
  await withEngine(ENVIRONMENT, async (client) => {
    await loadOnDevice(client);
    const [without, withAll] = await graphParts(client);
    assert.ok(without > 0);
    assert.equal(withAll, without, `${without} parts without calibration, ${withAll} with all heads`);
    await compareWithOracle(client, 2, t);
  });
});

test("a device without the op: it runs on the CPU, at two cuts a layer, and agrees with the oracle", { skip: noVulkan }, async (t) => {
  await withEngine({ ...ENVIRONMENT, GGML_VK_DISABLE_ACT: "1" }, async (client) => {
    await loadOnDevice(client);
    const [without, withAll] = await graphParts(client);
    const layers = Object.keys(shortest.runs.all?.heads ?? {}).length;
    t.diagnostic(`${without} parts without calibration, ${withAll} with all heads`);
    assert.ok(withAll > without && withAll <= without + 2 * layers, `${without} parts without calibration, ${withAll} with all heads`);
    await compareWithOracle(client, 1, t);
  });
});

test("without a driver: Vulkan is refused in a sentence when asked for, and the CPU steps in when not", { skip: noVulkan }, async () => {
  const none = "/nonexistent.json";
  await withEngine({ VK_ICD_FILENAMES: none, VK_DRIVER_FILES: none }, async (client) => {
    const load = (backend: "vulkan" | "auto") => client.request("load", { path: model, backend, sequences: 0, contextSize: 256 });
    const { backends } = await client.request("handshake", { probe: true });
    assert.ok(backends.find(({ name }) => name === "vulkan")?.reason, "doctor says why there is no device");
    await assert.rejects(load("vulkan"), { code: "unsupported", message: /vulkan.*cannot be used|vulkan.*finds no device/ });
    const info = await load("auto");
    assert.equal(info.backend, "cpu");
    assert.match(info.backendReason, /The CPU is used:.*vulkan/);
  });
});
