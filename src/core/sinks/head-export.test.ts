import assert from "node:assert/strict";
import { test } from "node:test";
import type { HeadMatrix } from "../../protocol/engine.js";
import { sequentialPalette, upperTriangleColour } from "../picture/colour.js";
import { headToCsv, headToJson, headToPixels, headToSvg } from "./head-export.js";

const TOKENS = ["<bos>", "a,b", "c"];
const NONE = Number.NaN;

function matrix(over: Partial<HeadMatrix> = {}): HeadMatrix {
  const values = Float32Array.of(1, NONE, NONE, 0.75, 0.25, NONE, 0.5, 0.375, 0.125);
  const calibrated = Float32Array.of(1, NONE, NONE, 0.75, 0.25, NONE, 0.62, 0.15, 0.23);
  return { layer: 4, head: 7, rows: 3, columns: 3, pool: 1, rowStart: 0, columnStart: 0, values, calibrated, ...over };
}

test("the CSV has a line per cell on or below the diagonal, exact in float32", () => {
  const lines = headToCsv(matrix(), TOKENS).trim().split("\n");
  assert.deepEqual(lines, [
    "query,key,query_token,key_token,before,after",
    "0,0,<bos>,<bos>,1,1",
    '1,0,"a,b",<bos>,0.75,0.75',
    '1,1,"a,b","a,b",0.25,0.25',
    "2,0,c,<bos>,0.5,0.62",
    '2,1,c,"a,b",0.375,0.15',
    "2,2,c,c,0.125,0.23",
  ]);
  assert.match(headToCsv(matrix({ calibrated: null }), TOKENS), /2,2,c,c,0\.125,\n$/);
});

test("a pooled matrix says what its cells are", () => {
  const pooled = matrix({ rows: 1, columns: 1, pool: 3, values: Float32Array.of(1), calibrated: null });
  assert.equal(headToCsv(pooled, TOKENS), "query,key,query_token,key_token,before,after,pooled_3x3\n0,0,<bos>,<bos>,1,,max\n");
  assert.match(headToSvg(pooled, TOKENS, { title: "x" }), /each cell is the largest of 3 × 3/);
});

test("the JSON has null where a query cannot look", () => {
  const read = JSON.parse(headToJson(matrix(), TOKENS));
  assert.deepEqual(read.values[0], [1, null, null]);
  assert.deepEqual(read.calibrated[2], [0.62, 0.15, 0.23]);
  assert.deepEqual([read.layer, read.head, read.pool], [4, 7, 1]);
});

test("the picture's upper triangle has its own colour, the largest value the scale's last", () => {
  const { width, height, pixels, palette } = headToPixels(matrix());
  assert.deepEqual([width, height], [3, 3]);
  assert.deepEqual(palette[pixels[2] as number], upperTriangleColour("light"));
  assert.deepEqual(palette[pixels[0] as number], sequentialPalette("light")[254]);
});

test("the figure is labelled like one of a paper: tokens along both axes, names of the axes, colour bar, what was measured", () => {
  const svg = headToSvg(matrix(), TOKENS, { title: "Layer 4, head 7", subtitle: "shop.py · SmolLM2 · Head 3 of 8 in “sst2”, β 0.4" });
  for (const token of ["&lt;bos&gt; 0", "c 2"]) assert.equal(svg.split(`>${token}</text>`).length - 1, 4, token);
  for (const text of [
    "query: the token that looks",
    "key: the token that is looked at",
    "(a) before calibration",
    "(b) after calibration",
    "Head 3 of 8",
  ])
    assert.ok(svg.includes(text), text);
  assert.equal(svg.match(/class="bar"/g)?.length, 2);
});

test("the SVG stands before and after beside each other only where there is an after", () => {
  assert.equal(headToSvg(matrix(), TOKENS, { title: "T <1>" }).match(/<image /g)?.length, 2);
  assert.equal(headToSvg(matrix({ calibrated: null }), TOKENS, { title: "T" }).match(/<image /g)?.length, 1);
  assert.match(headToSvg(matrix(), TOKENS, { title: "T <1>" }), /T &lt;1&gt;/);
});
