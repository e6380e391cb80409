import assert from "node:assert/strict";
import { test } from "node:test";
import type { HeadMatrix, SinkMap } from "../../src/protocol/engine.js";
import { describeCell, readCell, stageValues } from "./matrix.js";

const MAP = { tokens: ["<bos>", " the", "\n", "x", "y"] } as unknown as SinkMap;

/** Keys and queries 2 to 4 of a prompt of five, in cells of two. */
const TILE: HeadMatrix = {
  layer: 0,
  head: 0,
  rows: 2,
  columns: 2,
  pool: 2,
  rowStart: 2,
  columnStart: 2,
  values: Float32Array.of(0.5, Number.NaN, 0.25, 0.75),
  calibrated: Float32Array.of(0.5, Number.NaN, 0.125, 0.875),
};

test("a cell is found by any of its tokens, and ends where the prompt ends", () => {
  assert.deepEqual(readCell(TILE, { row: 3, column: 2 }, 5), { queries: [2, 4], keys: [2, 4], before: 0.5, after: 0.5 });
  assert.deepEqual(readCell(TILE, { row: 4, column: 4 }, 5), { queries: [4, 5], keys: [4, 5], before: 0.75, after: 0.875 });
  assert.equal(readCell(TILE, { row: 1, column: 2 }, 5), null);
  assert.equal(readCell(TILE, { row: 6, column: 2 }, 5), null);
});

test("stages: after and difference exist only for calibrated heads; a hidden key is no value", () => {
  assert.deepEqual(stageValues({ ...TILE, calibrated: null }, "after", null), null);
  assert.deepEqual([...(stageValues(TILE, "difference", null) ?? [])], [0, Number.NaN, -0.125, 0.125]);
  assert.deepEqual([...(stageValues(TILE, "before", 3) ?? [])], [Number.NaN, Number.NaN, Number.NaN, 0.75]);
  assert.deepEqual([...TILE.values], [0.5, Number.NaN, 0.25, 0.75], "the tile itself stays as it was");
  assert.equal(stageValues(TILE, "before", 0), TILE.values, "a key outside the tile hides nothing");
});

test("a reading is a sentence", () => {
  const say = (row: number, column: number, hidden: number | null = null) => {
    const reading = readCell(TILE, { row, column }, 5);
    assert.ok(reading);
    return describeCell(MAP, reading, hidden);
  };
  assert.equal(say(4, 4), "Query “y” (4), key “y” (4): 0.750; after calibration 0.875 (+0.125).");
  assert.equal(say(4, 2), "Query “y” (4), keys “⏎” (2) to “x” (3): 0.250; after calibration 0.125 (−0.125), the largest of these.");
  assert.equal(say(2, 2), "Queries “⏎” (2) to “x” (3), keys “⏎” (2) to “x” (3): 0.500; after calibration the same, the largest of these.");
  assert.match(say(2, 4), /none, a query cannot look at a later key\.$/);
  assert.match(say(4, 4, 4), /the initial sink, hidden\.$/);
});
