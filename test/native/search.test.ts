// act calibrate and act evaluate as requests to the engine process, on the real model and a small task of our own.
import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import * as v from "valibot";
import { EngineClient } from "../../src/client/client.js";
import { HeadSetSchema } from "../../src/protocol/calibration.js";
import type { CalibrateParams, CalibrateProgress, EvaluateParams } from "../../src/protocol/engine.js";
import { ActError } from "../../src/protocol/errors.js";
import { DEFAULT_MODEL, modelPath } from "../../src/store/models.js";
import { temporaryFolder } from "../fixtures/temporary.js";

const client = new EngineClient({ entry: "dist/engine.mjs" });
let folder: string;
let task: string;

const good = ["sun", "gift", "friend", "song", "smile", "party", "holiday", "kiss"];
const bad = ["war", "pain", "fire", "crash", "theft", "flood", "insult", "wound"];

before(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "act-search-"));
  task = path.join(folder, "mood.json");
  const rows = (prefix: string) =>
    [...good.map((word) => [word, 1] as const), ...bad.map((word) => [word, 0] as const)].flatMap(([word, label]) =>
      ["a", "the"].map((article) => ({ id: `${prefix} ${article} ${word}`, text: `${prefix} ${article} ${word}`, label })),
    );
  const definition = {
    name: "mood",
    version: 1,
    kind: "classification",
    instruction: "Is it good or bad?\n\n",
    template: "{text} \nAnswer: ",
    labelWords: [" bad", " good"],
  };
  await writeFile(task, JSON.stringify({ task: definition, train: [...rows("today"), ...rows("once")], test: rows("never") }));
  await client.request("load", { path: process.env.ACT_MODEL || modelPath(DEFAULT_MODEL), backend: "cpu", threads: 2, contextSize: 512 });
});
after(async () => {
  client.dispose();
  await rm(folder, { recursive: true });
});

const search = (journal: string): CalibrateParams => ({
  tasks: [task],
  method: "act",
  beta: 0.4,
  threshold: { mode: "fixed", value: 0.1 },
  statistics: "running",
  samples: 8,
  confirm: 24,
  seed: 1,
  layers: [10, 12],
  journal: path.join(folder, journal),
  resume: false,
});

test("a search writes its journal, tells its parts, ends in a verdict; killed and resumed it says the same", {
  timeout: 500_000,
}, async () => {
  const progress: CalibrateProgress[] = [];
  const whole = await client.request("calibrate", search("a.jsonl"), { onProgress: (event) => progress.push(event) });
  assert.ok(v.is(HeadSetSchema, whole.headSet));
  assert.equal(whole.headSet.on, whole.helps);
  assert.match(whole.verdict, /help/);
  assert.deepEqual([...new Set(progress.map(({ part }) => part))].slice(0, 3), ["baseline", "choose", "validate"]);
  const { evidence } = whole.headSet;
  assert.ok(evidence && evidence.tokenLayers !== undefined && evidence.tokenLayers > 0);
  assert.ok(whole.headSet.heads.every(([layer]) => layer >= 10 && layer <= 12));

  // A journal cut in the middle of a line, as a kill leaves it.
  const text = await readFile(path.join(folder, "a.jsonl"), "utf8");
  await writeFile(path.join(folder, "b.jsonl"), text.slice(0, Math.floor(text.length * 0.6)));
  const resumed = await client.request("calibrate", { ...search("b.jsonl"), resume: true });
  assert.deepEqual([resumed.headSet.heads, resumed.headSet.betas], [whole.headSet.heads, whole.headSet.betas]);
  assert.equal(whole.headSet.evidence?.method, "gradient");
  // A batch that was cut is evaluated again.
  const effort = { seconds: 0, tokenLayers: 0, forwardPasses: 0, choosingSeconds: 0, choosingTokenLayers: 0 };
  assert.deepEqual({ ...resumed.headSet.evidence, ...effort }, { ...evidence, ...effort });

  await assert.rejects(
    client.request("calibrate", { ...search("a.jsonl"), seed: 2, resume: true }),
    (error: unknown) => error instanceof ActError && error.code === "usage" && /seed/.test(error.message),
  );
});

test("cancelled: rejects at once, and the journal goes on from there", { timeout: 400_000 }, async () => {
  const controller = new AbortController();
  let told = 0;
  const asked = client.request("calibrate", search("c.jsonl"), {
    signal: controller.signal,
    onProgress: () => {
      if (++told === 3) controller.abort();
    },
  });
  await assert.rejects(asked, (error: unknown) => error instanceof ActError && error.code === "cancelled");
  const before = await client.request("calibrate", { ...search("c.jsonl"), resume: true });
  assert.match(before.verdict, /help/);
});

test("a search on a folder goes on with its own prompts, although the files were edited meanwhile", { timeout: 300_000 }, async () => {
  const shop = temporaryFolder("shop");
  const code = (name: string) =>
    Array.from(
      { length: 20 },
      (_, i) => `export function ${name}${i}(left: number, right: number) {\n  return left * ${i} + right;\n}\n`,
    ).join("");
  for (const name of ["cart", "price", "tax", "user"]) await writeFile(path.join(shop, `${name}.ts`), code(name));
  const params = { ...search("shop.jsonl"), tasks: undefined, workspace: shop, confirm: 8 };
  const abort = new AbortController();
  const onProgress = ({ forwardPasses }: CalibrateProgress) => {
    if (forwardPasses >= 2) abort.abort();
  };
  await assert.rejects(client.request("calibrate", params, { signal: abort.signal, onProgress }), { code: "cancelled" });
  await writeFile(path.join(shop, "cart.ts"), code("basket"));
  const again = new AbortController();
  const goesOn = ({ forwardPasses }: CalibrateProgress) => {
    if (forwardPasses >= 4) again.abort();
  };
  const resumed = { ...params, resume: true };
  await assert.rejects(client.request("calibrate", resumed, { signal: again.signal, onProgress: goesOn }), { code: "cancelled" });
  await rm(path.join(folder, "shop.jsonl.prompts.json"));
  await assert.rejects(client.request("calibrate", resumed), /belongs to another value of items/);
});

test("bad searches are sentences", async () => {
  const refused = async (params: Partial<CalibrateParams>, pattern: RegExp) => {
    await assert.rejects(
      client.request("calibrate", { ...search("x.jsonl"), ...params }),
      (error: unknown) => error instanceof ActError && pattern.test(error.message),
    );
  };
  const one = path.join(folder, "one.json");
  const { task: definition, train } = JSON.parse(await readFile(task, "utf8")) as { task: object; train: { label: number }[] };
  const write = (rows: unknown[]) => writeFile(one, JSON.stringify({ task: definition, train: rows, test: [] }));
  await write(train.filter(({ label }) => label === 0));
  await refused({ tasks: [one] }, /training rows of mood have the label "bad"; a search needs rows of at least two labels/);
  await write([...train.slice(0, 2), ...train.slice(-2)]);
  await refused({ tasks: [one] }, /at least 24 different items .* only 4/);
  await refused({ tasks: [task, task] }, /The task mood is named twice/);
  await refused({ tasks: ["nothing"] }, /no task "nothing"/);
  await refused({ layers: [3, 99] }, /layers 0 to 29/);
  await refused({ samples: 2 }, /samples: must be at least 8/);
  await refused({ tasks: undefined, workspace: folder }, /no source files/);
  const other = path.join(folder, "notes.jsonl");
  await writeFile(other, '{"notes": 1}\n');
  await refused({ merge: [path.join(folder, "a.jsonl"), other] }, /notes\.jsonl does not begin like a journal/);
});

test("an evaluation: records, resume, report, prompts that are too long", { timeout: 500_000 }, async () => {
  const out = path.join(folder, "evaluation");
  const params: EvaluateParams = {
    tasks: [task],
    shots: 0,
    seeds: 5,
    calibration: {
      method: "act",
      heads: [
        [10, 0],
        [11, 1],
        [12, 2],
      ],
      beta: 0.4,
      threshold: { mode: "fixed", value: 0.1 },
      statistics: "running",
    },
    contextual: true,
    out,
    resume: false,
  };
  const whole = await client.request("evaluate", params);
  assert.equal(whole.tasks[0]?.n, 32);
  assert.ok(whole.tasks[0]?.contextual);
  const records = await readFile(path.join(out, "records.jsonl"), "utf8");
  assert.equal(records.trim().split("\n").length, 1 + 32 + 1);
  await writeFile(path.join(out, "records.jsonl"), records.slice(0, records.length / 2));
  const resumed = await client.request("evaluate", { ...params, resume: true });
  assert.deepEqual(resumed.tasks, whole.tasks);
  assert.match(await readFile(path.join(out, "report.html"), "utf8"), /<svg/);

  const long = path.join(folder, "long.json");
  const definition = JSON.parse(await readFile(task, "utf8")) as { test: unknown[] };
  await writeFile(
    long,
    JSON.stringify({
      ...definition,
      test: [
        { id: "x", text: "word ".repeat(900), label: 0 },
        { id: "y", text: "a song", label: 1 },
      ],
    }),
  );
  const { tasks } = await client.request("evaluate", { ...params, tasks: [long], out: undefined });
  assert.deepEqual([tasks[0]?.n, tasks[0]?.skipped], [1, 1]);
});
