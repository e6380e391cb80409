/**
 * Time to the first token of a suggestion with a warm prefix, against llama.cpp's own server: the same bundled source (without our patches), model,
 * threads and machine, requests taking turns. `node scripts/run.mjs bench llama-server`; builds the server first, once (some minutes).
 */
import { spawn } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { BuildContext } from "../../scripts/context.js";
import { ensureDefaultModel } from "../../scripts/fetch/model.js";
import { freePort } from "../../scripts/fetch/workbench.js";
import { exec, isOnPath } from "../../scripts/lib/exec.js";
import { setUpReference } from "../../scripts/native/native.js";
import { EngineClient } from "../../src/client/client.js";
import { type Spread, spread } from "../../src/core/numbers/timing.js";

const ROUNDS = Number(process.env.ACT_BENCH_ROUNDS ?? 40);
const WARM_UP = 4;
const CODE = Array.from(
  { length: 24 },
  (_, i) => `def step_${i}(value, scale=${i}):\n    """Scale a value."""\n    return value * scale + ${i}\n`,
).join("\n\n");

export interface ServerFigures {
  threads: number;
  promptCharacters: number;
  oursMs: Spread;
  serverMs: Spread;
  /** Ours over theirs at the median; under 1 is faster. */
  ratio: number;
}

export async function run(context: BuildContext): Promise<ServerFigures> {
  const model = await ensureDefaultModel(context.cache);
  const binary = process.env.ACT_LLAMA_SERVER ?? (await buildServer(context));
  const threads = cpus().length;
  const port = await freePort();
  const server = spawn(
    binary,
    ["-m", model, "--host", "127.0.0.1", "--port", String(port), "-c", "2048", "-t", String(threads), "-np", "1"],
    {
      stdio: "ignore",
    },
  );
  const engine = new EngineClient({ entry: join(context.root, "dist", "engine.mjs") });
  try {
    await engine.request("load", { path: model, contextSize: 2048, threads, backend: "cpu" });
    await ready(port);
    const ours: number[] = [];
    const theirs: number[] = [];
    for (let i = 0; i < ROUNDS; i++) {
      // As while typing: what was there before, and a little more.
      const prompt = `${CODE}\n\ndef total_of_all_steps(values):\n    result = ${"value + ".repeat(i + 1)}`.trimEnd();
      const measure = [
        async () => void ours.push(await firstOfOurs(engine, prompt)),
        async () => void theirs.push(await firstOfServer(port, prompt)),
      ];
      // The first of a pair meets colder caches: they take turns.
      for (const one of i % 2 ? measure.reverse() : measure) await one();
    }
    const oursMs = spread(ours.slice(WARM_UP));
    const serverMs = spread(theirs.slice(WARM_UP));
    return {
      threads,
      promptCharacters: CODE.length,
      oursMs,
      serverMs,
      ratio: oursMs.p50 / serverMs.p50,
    };
  } finally {
    engine.dispose();
    server.kill();
  }
}

async function firstOfOurs(engine: EngineClient, prefix: string): Promise<number> {
  const started = performance.now();
  let first = Number.NaN;
  await engine.request(
    "infill",
    { prefix, suffix: "", maxTokens: 4, maxPromptTokens: 1800, calibration: null },
    {
      onProgress: () => {
        if (Number.isNaN(first)) first = performance.now() - started;
      },
    },
  );
  return first;
}

async function firstOfServer(port: number, prompt: string): Promise<number> {
  const started = performance.now();
  const response = await fetch(`http://127.0.0.1:${port}/completion`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ prompt, n_predict: 4, stream: true, cache_prompt: true, temperature: 0 }),
  });
  if (!response.ok || !response.body) throw new Error(`llama-server answered ${response.status}`);
  let first = Number.NaN;
  for await (const _ of response.body) if (Number.isNaN(first)) first = performance.now() - started;
  return first;
}

async function ready(port: number): Promise<void> {
  for (const end = Date.now() + 60_000; Date.now() < end; await sleep(200)) {
    const answer = await fetch(`http://127.0.0.1:${port}/health`).catch(() => null);
    if (answer?.ok) return;
  }
  throw new Error("llama-server did not become ready within 60 s");
}

/** The server of the unpatched source that node-llama-cpp bundles. */
async function buildServer(context: BuildContext): Promise<string> {
  const tree = await setUpReference(context);
  const work = join(context.scratch, "native", "server");
  const binary = join(work, "bin", "llama-server");
  if (existsSync(binary)) return binary;
  mkdirSync(work, { recursive: true });
  const off = ["LLAMA_BUILD_TESTS", "LLAMA_BUILD_EXAMPLES", "LLAMA_BUILD_APP", "LLAMA_BUILD_UI", "LLAMA_USE_PREBUILT_UI", "LLAMA_OPENSSL"];
  const on = ["LLAMA_BUILD_TOOLS", "LLAMA_BUILD_SERVER", "GGML_NATIVE"];
  const options = ["-DCMAKE_BUILD_TYPE=Release", ...off.map((name) => `-D${name}=OFF`), ...on.map((name) => `-D${name}=ON`)];
  const generator = (await isOnPath("ninja")) ? ["-G", "Ninja"] : [];
  await exec("cmake", [...generator, "-S", join(tree, "llama", "llama.cpp"), "-B", work, ...options], {
    failure: "Configuring llama-server",
  });
  await exec("cmake", ["--build", work, "--target", "llama-server", "--parallel", String(cpus().length)], {
    failure: "Building llama-server",
  });
  return binary;
}
