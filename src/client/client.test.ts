import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { afterEach, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { CompleteParams } from "../protocol/engine.js";
import { EngineClient, type EngineClientOptions, type EngineState } from "./client.js";

const entry = "test/fixtures/fake-engine.mjs";
let client: EngineClient;
const make = (options: Partial<EngineClientOptions> = {}) => {
  client = new EngineClient({ entry, hangMs: 2000, backoffMs: [20, 40], ...options });
  return client;
};
const prompt = (text: string): CompleteParams => ({ prompt: text, calibration: null });
afterEach(() => client.dispose());

test("a request brings its result, its progress in order, and typed arrays as they are", async () => {
  const pieces: string[] = [];
  const result = await make().request("complete", prompt("hello"), { onProgress: ({ text }) => pieces.push(text) });
  assert.equal(result.text, "hello");
  assert.deepEqual(pieces, ["a", "b"]);
  const { floats } = result as unknown as { floats: Float32Array };
  assert.ok(floats instanceof Float32Array);
  assert.deepEqual([...floats], [1.5, Number.NaN]);
});

test("the engine's errors arrive with code and sentence", async () => {
  await assert.rejects(make().request("complete", prompt("fail")), {
    name: "ActError",
    code: "context-overflow",
    message: "It does not fit.",
  });
});

test("a request that is too long to be sent is refused, and the engine does not notice", async () => {
  make();
  await client.info();
  const { pid } = client;
  await assert.rejects(client.request("complete", prompt("x".repeat(17_000_000))), { code: "usage", message: /too long/ });
  await assert.rejects(client.request("tokenTexts", { tokens: new Array(17_000_000).fill(1) }), { code: "usage", message: /too long/ });
  assert.equal((await client.request("complete", prompt("hello"))).text, "hello");
  assert.equal(client.pid, pid);
});

test("a signal cancels: before sending, and while it runs", async () => {
  make();
  await client.info();
  await assert.rejects(client.request("complete", prompt("hello"), { signal: AbortSignal.abort() }), { code: "cancelled" });
  const abort = new AbortController();
  const waiting = client.request("complete", prompt("wait"), { signal: abort.signal });
  setTimeout(() => abort.abort(), 50);
  await assert.rejects(waiting, { code: "cancelled" });
});

for (const [way, said] of [
  ["kill", /SIGKILL/],
  ["abort", /SIGABRT/],
  ["exit", /code 7/],
] as const) {
  test(`an engine that dies by ${way} rejects everything pending and is back with its model in under two seconds`, async () => {
    make();
    await client.request("load", { path: "model.gguf" });
    const pending = client.request("complete", prompt("never"));
    const fatal = client.request("complete", prompt(way));
    await Promise.all([
      assert.rejects(pending, { code: "engine-gone", message: said }),
      assert.rejects(fatal, { code: "engine-gone", message: said }),
    ]);
    const begin = performance.now();
    const { text } = await client.request("complete", prompt("model"));
    assert.equal(text, "model.gguf");
    assert.ok(performance.now() - begin < 2000);
  });
}

test("it comes back by itself, without a request", async () => {
  const states: string[] = [];
  make({ onState: (state) => states.push(state.kind) });
  const { pid } = await client.info();
  process.kill(pid, "SIGKILL");
  while (states.filter((kind) => kind === "ready").length < 2) await sleep(10);
  assert.notEqual(client.pid, pid);
});

test("a hung engine is killed, its request says so, and the next one works", async () => {
  make({ hangMs: 400 });
  await assert.rejects(client.request("complete", prompt("hang")), { code: "engine-gone", message: /stopped answering/ });
  assert.equal((await client.request("complete", prompt("again"))).text, "again");
});

test("an engine that never answers its handshake is given up in time", async () => {
  make({ startMs: 300, env: { FAKE_START: "mute", FAKE_HEARTBEAT: "none" }, backoffMs: [] });
  await assert.rejects(client.info(), { code: "engine-gone", message: /did not start in time/ });
});

test("three crashes in a row stop the restarts, and restart() is the way on", async () => {
  make();
  for (let crash = 0; crash < 3; crash++) await assert.rejects(client.request("complete", prompt("kill")), { code: "engine-gone" });
  assert.equal(client.state.kind, "crashed");
  await assert.rejects(client.request("complete", prompt("hello")), {
    code: "engine-gone",
    message: /third crash in a row.*Restart Engine/,
  });
  await client.restart();
  assert.equal((await client.request("complete", prompt("hello"))).text, "hello");
});

test("an answer in between makes the next crash the first again", async () => {
  make();
  for (let crash = 0; crash < 5; crash++) {
    await assert.rejects(client.request("complete", prompt("abort")), { code: "engine-gone" });
    await client.request("complete", prompt("hello"));
  }
  assert.equal(client.state.kind, "ready");
});

test("an engine that crashes at its start ends in the crashed state", async () => {
  make({ env: { FAKE_START: "crash" } });
  for (let crash = 0; crash < 3; crash++) await assert.rejects(client.info(), { code: "engine-gone" });
  assert.equal(client.state.kind, "crashed");
});

test("a load that crashes the engine names its file, and the file is not loaded again", async () => {
  const crashed: string[] = [];
  make({ quarantine: async (path, reason) => void crashed.push(`${path}: ${reason}`) });
  await client.request("load", { path: "good.gguf" });
  await assert.rejects(client.request("load", { path: "crash.gguf" }), { code: "engine-gone" });
  assert.deepEqual(crashed, ["crash.gguf: while it was loaded, the engine process was ended by SIGABRT"]);
  assert.equal((await client.request("complete", prompt("model"))).text, "good.gguf", "the model that worked is back");
});

test("a file that crashes the engine twice in a row in use is put on the list, and not loaded again", async () => {
  const crashed: string[] = [];
  make({ quarantine: async (path, reason) => void crashed.push(`${path}: ${reason}`) });
  await client.request("load", { path: "weak.gguf" });
  await assert.rejects(client.request("complete", prompt("abort")), { code: "engine-gone" });
  assert.equal((await client.request("complete", prompt("model"))).text, "weak.gguf", "once can be anything");
  for (let crash = 0; crash < 2; crash++) await assert.rejects(client.request("complete", prompt("abort")), { code: "engine-gone" });
  assert.deepEqual(crashed, ["weak.gguf: twice in a row while it was used; the engine process was ended by SIGABRT"]);
  assert.equal((await client.request("complete", prompt("model"))).text, "null");
});

test("an engine that is killed from outside accuses no file", async () => {
  const crashed: string[] = [];
  make({ quarantine: async (path) => void crashed.push(path), backoffMs: [20, 20, 20, 20] });
  await client.request("load", { path: "good.gguf" });
  for (let crash = 0; crash < 3; crash++) await assert.rejects(client.request("complete", prompt("kill")), { code: "engine-gone" });
  assert.deepEqual(crashed, []);
  assert.equal((await client.request("complete", prompt("model"))).text, "good.gguf");
});

test("another backend starts another process", async () => {
  make();
  await client.request("load", { path: "a.gguf", backend: "cpu" });
  const { pid } = client;
  await client.request("load", { path: "b.gguf", backend: "cpu" });
  assert.equal(client.pid, pid);
  await client.request("load", { path: "c.gguf", backend: "vulkan" });
  assert.notEqual(client.pid, pid);
  assert.equal((await client.request("complete", prompt("model"))).text, "c.gguf");
});

test("another protocol version is refused by name and not retried", async () => {
  make({ env: { FAKE_START: "other-protocol" } });
  await assert.rejects(client.info(), { code: "engine-gone", message: /protocol 999.*Reinstall/ });
  assert.equal(client.state.kind, "crashed");
});

test("dispose rejects what is pending and ends the process", async () => {
  const states: EngineState[] = [];
  make({ onState: (state) => states.push(state) });
  const { pid } = await client.info();
  const pending = client.request("complete", prompt("never"));
  await sleep(20);
  client.dispose();
  await assert.rejects(pending, { code: "engine-gone" });
  await assert.rejects(client.info(), { code: "engine-gone" });
  await gone(pid);
  assert.equal(states.at(-1)?.kind, "down");
});

test("the engine ends with its parent, however that ends", async () => {
  make();
  // Parents of their own that start an engine and are then killed: before any message, and after one.
  for (const talk of ["", `c.send({ id: 1, method: "handshake", params: {} });`]) {
    const code = `const {fork} = require("node:child_process"); const c = fork(${JSON.stringify(entry)}, {serialization: "advanced"}); ${talk} process.send(c.pid); setInterval(() => {}, 1000);`;
    const parent = spawn(process.execPath, ["-e", code], { stdio: ["ignore", "ignore", "inherit", "ipc"] });
    const [pid] = (await once(parent, "message")) as [number];
    await sleep(100);
    process.kill(pid, 0);
    parent.kill("SIGKILL");
    await gone(pid);
  }
});

/** Waits until a process has ended; one that only waits for its new parent to collect it (a zombie) has. */
async function gone(pid: number): Promise<void> {
  for (let tries = 0; tries < 500; tries++) {
    try {
      process.kill(pid, 0);
      if (/\) Z /.test(await readFile(`/proc/${pid}/stat`, "utf8").catch(() => ""))) return;
    } catch {
      return;
    }
    await sleep(10);
  }
  assert.fail(`process ${pid} is still there`);
}
