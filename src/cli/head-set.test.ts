import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { calibrationOf } from "./head-set.js";

const model = { layers: 30, heads: 9, sha256: "abc", name: "SmolLM2" };
const set = {
  schema: 1,
  method: "act",
  beta: 0.3,
  threshold: { mode: "relative", value: 5 },
  model: { layers: 30, heads: 9, sha256: "abc" },
  heads: [
    [4, 7],
    [5, 0],
  ],
};
let folder: string;
before(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "act-heads-"));
});
after(() => rm(folder, { recursive: true }));

const file = async (content: unknown) => {
  const name = path.join(folder, "set.json");
  await writeFile(name, typeof content === "string" ? content : JSON.stringify(content));
  return name;
};
const warnings: string[] = [];
const resolve = (flags: Record<string, string>) =>
  calibrationOf(
    flags,
    model,
    async (name) => (name === "bundled" ? ({ ...set, heads: [[9, 1]], statistics: "running" } as never) : undefined),
    (text) => warnings.push(text),
  );
const refused = async (content: unknown, message: RegExp) =>
  assert.rejects(resolve({ heads: await file(content) }), { name: "ActError", code: "head-set", message });

test("none, all, a bundled name, a file; flags win over the file", async () => {
  assert.equal(await resolve({}), null);
  assert.equal(await resolve({ heads: "none" }), null);
  const all = await resolve({ heads: "all" });
  assert.equal(all?.heads.length, 27 * 9);
  assert.deepEqual([all?.heads[0], all?.heads.at(-1), all?.beta, all?.threshold], [[2, 0], [28, 8], 0.4, { mode: "fixed", value: 0.1 }]);
  assert.deepEqual((await resolve({ heads: "bundled" }))?.heads, [[9, 1]]);
  const name = await file(set);
  assert.deepEqual(await resolve({ heads: name }), {
    method: "act",
    heads: [
      [4, 7],
      [5, 0],
    ],
    beta: 0.3,
    threshold: { mode: "relative", value: 5 },
    statistics: "running",
  });
  assert.deepEqual(await resolve({ heads: name, beta: "0.5", threshold: "fixed:0.2", statistics: "row" }), {
    method: "act",
    heads: [
      [4, 7],
      [5, 0],
    ],
    beta: 0.5,
    threshold: { mode: "fixed", value: 0.2 },
    statistics: "row",
  });
});

test("only layers and heads are required of a file's model", async () => {
  const calibration = await resolve({ heads: await file({ schema: 1, model: { layers: 30, heads: 9 }, heads: [[3, 3]] }) });
  assert.deepEqual([calibration?.beta, calibration?.threshold], [0.4, { mode: "fixed", value: 0.1 }]);
});

test("another file of the same shape is used with a warning", async () => {
  warnings.length = 0;
  await resolve({ heads: await file({ ...set, model: { ...set.model, sha256: "other" } }) });
  assert.match(warnings.join(), /another model file of the same shape/);
});

test("bad sets get a sentence that names the file and what is wrong", async () => {
  await assert.rejects(resolve({ heads: "/nowhere.json" }), { code: "head-set", message: /There is no head set "\/nowhere.json"/ });
  await refused("{", /is not JSON/);
  await refused([], /damaged/);
  await refused({ ...set, schema: 2 }, /schema version 2; this program reads version 1/);
  await refused(
    {
      ...set,
      heads: [
        [4, 7],
        [4, 7],
      ],
    },
    /\[4, 7\] twice/,
  );
  await refused({ ...set, heads: [[30, 0]] }, /names head \[30, 0\], which its model does not have/);
  await refused({ ...set, heads: [[1.5, 0]] }, /damaged at heads/);
  await refused({ ...set, heads: [[-1, 0]] }, /damaged at heads/);
  await refused({ ...set, beta: "x" }, /damaged at beta/);
  await refused({ ...set, beta: -0.1 }, /damaged at beta/);
  await refused({ ...set, model: { layers: 32, heads: 32 } }, /for a model of 32 layers with 32 heads, but SmolLM2 has 30 with 9/);
  await refused({ ...set, model: undefined }, /damaged at model/);
});

test("a beta above 1 that comes from the file is refused for ACT", async () => {
  await assert.rejects(resolve({ heads: await file({ ...set, beta: 1.2 }) }), { code: "usage", message: /between 0 and 1, not 1.2/ });
});
