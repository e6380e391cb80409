import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { temporaryFolder } from "../../test/fixtures/temporary.js";
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
const folder = temporaryFolder("heads");

const file = async (content: unknown) => {
  const name = path.join(folder, "set.json");
  await writeFile(name, typeof content === "string" ? content : JSON.stringify(content));
  return name;
};
const warnings: string[] = [];
const resolve = (flags: Record<string, string>) => calibrationOf(flags, model, (text) => warnings.push(text));
const refused = async (content: unknown, message: RegExp) =>
  assert.rejects(resolve({ heads: await file(content) }), { name: "ActError", code: "head-set", message });

test("none, all, a published name, a file; flags win over the file", async () => {
  assert.equal(await resolve({}), null);
  assert.equal(await resolve({ heads: "none" }), null);
  const all = await resolve({ heads: "all" });
  assert.equal(all?.heads.length, 27 * 9);
  assert.deepEqual([all?.heads[0], all?.heads.at(-1), all?.beta, all?.threshold], [[2, 0], [28, 8], 0.4, { mode: "fixed", value: 0.1 }]);
  const published = {
    sets: [{ name: "ours", model: "SmolLM2", layers: 30, heads: 9, beta: 0.4, threshold: { mode: "fixed", value: 0.1 }, set: [[9, 1]] }],
  };
  await writeFile(path.join(folder, "published_heads.json"), JSON.stringify(published));
  assert.deepEqual((await resolve({ heads: "ours", data: folder }))?.heads, [[9, 1]]);
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

test("a beta for each head comes through; --beta puts one for all in its place", async () => {
  const name = await file({ ...set, schema: 2, use: "chat", betas: [0.2, 1.4] });
  assert.deepEqual((await resolve({ heads: name }))?.betas, [0.2, 1.4]);
  const one = await resolve({ heads: name, beta: "1.5" });
  assert.deepEqual([one?.betas, one?.beta], [undefined, 1.5]);
  await assert.rejects(resolve({ heads: name, beta: "2.5" }), { code: "usage", message: /between 0 and 2/ });
});

test("only layers and heads are required of a file's model", async () => {
  const calibration = await resolve({ heads: await file({ schema: 1, model: { layers: 30, heads: 9 }, heads: [[3, 3]] }) });
  assert.deepEqual([calibration?.beta, calibration?.threshold], [0.4, { mode: "fixed", value: 0.1 }]);
});

test("another file of the same shape is used with a warning", async () => {
  warnings.length = 0;
  await resolve({ heads: await file({ ...set, model: { ...set.model, sha256: "other" } }) });
  assert.match(warnings.join(), /of the same shape/);
});

// What a file may hold is in src/store/head-sets/head-sets.test.ts; here, that all of it comes through as exit code 2.
test("bad sets are refused", async () => {
  await assert.rejects(resolve({ heads: "/nowhere.json" }), { code: "head-set", message: /\/nowhere.json does not exist/ });
  await assert.rejects(resolve({ heads: "nobody" }), {
    code: "head-set",
    message: /"nobody" is neither a head-set file nor a bundled name/,
  });
  await refused("{", /is not JSON/);
  await refused({ ...set, schema: 3 }, /schema 3/);
  await refused({ ...set, schema: 2, betas: [1] }, /one number for each head/);
  await refused(
    {
      ...set,
      heads: [
        [4, 7],
        [4, 7],
      ],
    },
    /twice/,
  );
  await refused({ ...set, heads: [[30, 0]] }, /layer 30, head 0/);
  await refused({ ...set, model: { layers: 32, heads: 32 } }, /for a model of 32 layers and 32 heads; SmolLM2 has 30 and 9/);
});
