import assert from "node:assert/strict";
import fs from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { temporaryFolder } from "../../../test/fixtures/temporary.js";
import { calibrationOfSet } from "../../protocol/calibration.js";
import type { ActError } from "../../protocol/errors.js";
import { checkHeadSet, parseHeadSet, readHeadSet, writeHeadSet } from "./file.js";
import { HeadSetHistory } from "./history.js";
import { findHeadSet, readPublishedHeadSets } from "./published.js";

const minimal = {
  schema: 1,
  model: { layers: 30, heads: 9 },
  heads: [
    [4, 7],
    [5, 0],
  ],
};
const parse = (change: object) => parseHeadSet(JSON.stringify({ ...minimal, ...change }), "x.json");
const refused = (message: RegExp) => (error: ActError) => {
  assert.equal(error.code, "head-set");
  assert.match(error.message, message);
  return true;
};

test("what may be left out has its published value", () => {
  const set = parse({});
  assert.equal(set.method, "act");
  assert.equal(set.beta, 0.4);
  assert.deepEqual(set.threshold, { mode: "fixed", value: 0.1 });
  assert.equal(set.statistics, "running");
});

test("schema 1 is read as schema 2 for task prompts; schema 2 knows its use and a beta for each head", () => {
  const old = parse({});
  assert.deepEqual([old.schema, old.use, old.betas], [2, "task", undefined]);
  const set = parse({ schema: 2, use: "completions", betas: [0.2, 1.4] });
  assert.deepEqual([set.use, set.betas], ["completions", [0.2, 1.4]]);
  assert.deepEqual(parseHeadSet(JSON.stringify(set), "y.json"), set);
  assert.deepEqual(calibrationOfSet(set).betas, [0.2, 1.4]);
});

test("what is refused, and in which words", () => {
  assert.throws(() => parseHeadSet("{", "x.json"), refused(/x\.json is not JSON/));
  assert.throws(() => parseHeadSet("[]", "x.json"), refused(/schema none/));
  assert.throws(() => parseHeadSet("null", "x.json"), refused(/schema none/));
  assert.throws(() => parse({ schema: 3 }), refused(/schema 3; this version reads schemas 1 and 2/));
  assert.throws(
    () =>
      parse({
        heads: [
          [4, 7],
          [4, 7],
        ],
      }),
    refused(/layer 4, head 7 twice/),
  );
  assert.throws(() => parse({ heads: [[30, 0]] }), refused(/layer 30, head 0/));
  assert.throws(() => parse({ heads: [[0, 9]] }), refused(/layer 0, head 9/));
  assert.throws(() => parse({ heads: [[0.5, 1]] }), refused(/heads\.0\.0/));
  assert.throws(() => parse({ heads: [[-1, 1]] }), refused(/heads\.0\.0/));
  assert.throws(() => parse({ beta: 2.5 }), refused(/beta must be between 0 and 2/));
  assert.throws(() => parse({ schema: 2, betas: [0.5] }), refused(/one number for each head/));
  assert.throws(() => parse({ schema: 2, betas: [0.5, 2.1] }), refused(/between 0 and 2/));
  assert.throws(() => parse({ schema: 2, betas: [0.5, "x"] }), refused(/betas\.1/));
  assert.throws(() => parse({ schema: 2, use: "work" }), refused(/use/));
  assert.throws(() => parse({ beta: -0.1 }), refused(/beta must be at least 0/));
  assert.throws(() => parse({ beta: "a" }), refused(/beta/));
  assert.throws(() => parse({ model: { layers: 30 } }), refused(/model\.heads/));
  assert.throws(() => parse({ threshold: { mode: "often", value: 1 } }), refused(/threshold\.mode/));
  assert.equal(parse({ method: "zero-tuning", beta: 2 }).beta, 2);
});

test("another shape is refused, another file of the same shape is a warning", () => {
  const set = parse({ model: { name: "Q", sha256: "a".repeat(64), layers: 30, heads: 9 } });
  assert.equal(checkHeadSet(set, { name: "Q", sha256: "a".repeat(64), layers: 30, heads: 9 }), null);
  assert.match(checkHeadSet(set, { name: "R", sha256: "b".repeat(64), layers: 30, heads: 9 }) ?? "", /made for Q/);
  assert.throws(() => checkHeadSet(set, { name: "R", layers: 32, heads: 32 }), refused(/30 layers and 9 heads; R has 32 and 32/));
});

test("written and read back; a missing file is a sentence", async () => {
  const file = path.join(temporaryFolder("heads"), "deep", "set.json");
  await writeHeadSet(file, parse({}));
  assert.deepEqual(await readHeadSet(file), parse({}));
  await assert.rejects(readHeadSet(`${file}.gone`), refused(/does not exist/));
});

test("published lists are found by name, files by path, anything else names what there is", async () => {
  const data = temporaryFolder("heads");
  const published = {
    name: "m/classification",
    model: "M",
    layers: 32,
    heads: 32,
    beta: 0.4,
    threshold: { mode: "fixed", value: 0.15 },
    statistics: "row",
    set: [[2, 2]],
  };
  await fs.writeFile(path.join(data, "published_heads.json"), JSON.stringify({ source: "x", sets: [published] }));
  const found = await findHeadSet("m/classification", data);
  assert.deepEqual([found.heads, found.statistics, found.model.layers], [[[2, 2]], "row", 32]);
  const file = path.join(data, "mine.json");
  await writeHeadSet(file, parse({}));
  assert.deepEqual((await findHeadSet(file, data)).heads, minimal.heads);
  await assert.rejects(findHeadSet("m/other", data), refused(/bundled name \(m\/classification\)/));
  await assert.rejects(findHeadSet("m/other", null), refused(/none/));
  assert.deepEqual(await readPublishedHeadSets(temporaryFolder("heads")), []);
  await fs.writeFile(path.join(data, "published_heads.json"), "{");
  await assert.rejects(readPublishedHeadSets(data), (error: ActError) => error.code === "data");
});

test("the history keeps every set and skips damaged ones by name", async () => {
  const history = new HeadSetHistory(temporaryFolder("heads"));
  assert.deepEqual(await history.list(), { sets: [], damaged: [] });
  const first = await history.save(parse({ name: "one" }));
  const second = await history.save(parse({ name: "two" }));
  assert.notEqual(first, second);
  await fs.writeFile(path.join(history.folder, "bad.json"), "{");
  const { sets, damaged } = await history.list();
  assert.deepEqual(sets.map(({ set }) => set.name).sort(), ["one", "two"]);
  assert.deepEqual(damaged, ["bad.json"]);
  await history.remove(first);
  assert.deepEqual(
    (await history.list()).sets.map(({ id }) => id),
    [second],
  );
  await assert.rejects(history.remove("../x"), /not the name/);
});
