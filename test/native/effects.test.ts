// The requests `effects` and `gradient`, through the engine process, on a small model with random weights.
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, test } from "node:test";
import { EngineClient } from "../../src/client/client.js";
import { temporaryFolder } from "../fixtures/temporary.js";
import { randomModel } from "./support/random-model.js";

const client = new EngineClient({ entry: "dist/engine.mjs", backoffMs: [] });
const rule = { method: "act", threshold: { mode: "fixed", value: 0.04 }, statistics: "running" } as const;
let task: string;
before(async () => {
  const items = (split: string) =>
    Array.from({ length: 12 }, (_, i) => ({ id: `${split}${i}`, text: `${split} ${"xyz".repeat((i % 4) + 2)} ${i}`, label: i % 2 }));
  task = path.join(temporaryFolder("effects"), "task.json");
  const own = { version: 1, name: "letters", kind: "classification", instruction: "", template: "{text} is: ", labelWords: ["a", "b"] };
  await writeFile(task, JSON.stringify({ task: own, train: items("train"), test: items("test") }));
  await client.request("load", { path: randomModel("llama"), backend: "cpu", sequences: 0, threads: 2 });
});
after(() => client.dispose());

test("effects: as many as heads, estimated and measured agree, the draw is the seed's", async () => {
  const ask = (seed: number, real: boolean) => client.request("effects", { task, limit: 6, seed, real, beta: 0.4, ...rule });
  const result = await ask(1, true);
  assert.deepEqual([result.method, result.prompts, result.reason], ["gradient", 6, null]);
  assert.deepEqual([result.effects.length, result.effects[0]?.length], [5, 4]);
  assert.ok(
    result.effects[0]?.every((effect) => effect === 0),
    "heads that are not eligible have no effect",
  );
  assert.ok((result.gradientSeconds as number) > 0 && result.forwardSeconds > 0);
  const { pairs, correlation, signAgreement } = result.real as NonNullable<typeof result.real>;
  assert.ok(pairs >= 6, `${pairs} pairs`);
  assert.ok((correlation as number) > 0.9 && (signAgreement as number) > 0.8, `${correlation}, ${signAgreement}`);
  assert.deepEqual((await ask(1, false)).effects, result.effects);
  assert.notDeepEqual((await ask(2, false)).effects, result.effects);
});

test("gradient: labels, texts and pairs; what is wrong with an item is said before native code sees it", async () => {
  const tokens = [1, 300 - 1, 280, 290, 285];
  const ask = (items: Parameters<typeof client.request<"gradient">>[1]["items"], betas: number[][] | null = null) =>
    client.request("gradient", { items, objective: "cross-entropy", betas, ...rule });
  const { results } = await ask([
    { tokens, answers: [270, 271], label: 1 },
    { tokens, truth: [272, 273] },
    { tokens, good: [272, 273], bad: [274] },
  ]);
  assert.equal(results.length, 3);
  assert.equal(results[0]?.scores.length, 2);
  for (const { loss, gradient } of results) {
    assert.ok(Number.isFinite(loss));
    assert.deepEqual([gradient.length, gradient[0]?.length], [5, 4]);
    assert.ok(gradient.flat().some((slope) => slope !== 0));
  }
  const refused = (message: RegExp) => ({ name: "ActError", code: "usage", message });
  await assert.rejects(ask([{ tokens, answers: [270, 271], label: 2 }]), refused(/items\.0\.label: 2 is none of the 2 answers/));
  await assert.rejects(ask([{ tokens: [99999], truth: [1] }]), refused(/Token 99999 at position 0 of the item 0/));
  await assert.rejects(ask([]), refused(/must hold an item/));
  await assert.rejects(
    ask([{ tokens: Array.from({ length: 400 }, () => 1), truth: [1] }]),
    (error: { code: string }) => error.code === "context-overflow",
  );
});

test("effects of a task that is not there, or of nothing", async () => {
  await assert.rejects(client.request("effects", { limit: 2, seed: 1, real: false, beta: 0.4, ...rule }), /a task, or a workspace folder/);
  await assert.rejects(client.request("effects", { task: "nowhere.json", limit: 2, seed: 1, real: false, beta: 0.4, ...rule }), {
    name: "ActError",
  });
});
