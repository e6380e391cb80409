import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { PNG } from "pngjs";
import { columnLimit } from "../act.js";
import { sequentialPalette } from "../picture/colour.js";
import { largest, paletteIndex, place, robustMax, ticks } from "../picture/scale.js";
import { shortestFloat32 } from "./csv-json.js";
import { maxPool } from "./pixels.js";
import * as sinkMap from "./sink-map.js";

/** What the bundle of webview/sink-page is elsewhere; test/panels/page.test.ts runs the real one. */
const PARTS = { script: "void 0", style: "" };
const toHtml = (data: sinkMap.SinkData) => sinkMap.toHtml(data, PARTS);
const TOKENS = ["<bos>", ' "a, b"', "\n", "é<", "end"];

function sample(layers = 2, heads = 3): sinkMap.SinkData {
  const columnMeans = Float32Array.from({ length: layers * heads * TOKENS.length }, (_, index) => ((index * 37) % 101) / 300);
  const data: sinkMap.SinkData = { tokens: TOKENS, ids: [0, 1, 2, 3, 4], layers, heads, columnMeans, sinks: [] };
  data.sinks = sinkMap.allSinksAt(data, { mode: "fixed", value: 0.1 });
  return data;
}

test("sinks are the keys strictly above the limit without the lowest one", () => {
  assert.deepEqual(sinkMap.sinksAt(Float32Array.of(0.05, 0.5, 0.25, 0.125, 0.5), 0.125), { exempt: 1, positions: [2, 4] });
  assert.deepEqual(sinkMap.sinksAt(Float32Array.of(0.1, 0.05), 0.5), { exempt: null, positions: [] });
  assert.deepEqual(sinkMap.sinksAt(new Float32Array(0), 0), { exempt: null, positions: [] });
});

test("a relative threshold is divided by the number of keys", () => {
  assert.equal(columnLimit({ mode: "relative", value: 5 }, 20), 0.25);
  assert.equal(columnLimit({ mode: "fixed", value: 0.1 }, 20), 0.1);
});

/** Column means of one head of `keys` tokens whose row i gives weight(i, k) to key k, normalised. */
function oneHead(keys: number, weight: (row: number, key: number) => number): sinkMap.SinkData {
  const sums = new Float64Array(keys);
  for (let row = 0; row < keys; row++) {
    const weights = Array.from({ length: row + 1 }, (_, key) => weight(row, key));
    const total = weights.reduce((a, b) => a + b, 0);
    weights.forEach((one, key) => {
      sums[key] = (sums[key] as number) + one / total;
    });
  }
  const columnMeans = Float32Array.from(sums, (sum, key) => sum / (keys - key));
  return { tokens: Array.from({ length: keys }, (_, key) => String(key)), layers: 1, heads: 1, columnMeans, sinks: [] };
}
const FIXED = { mode: "fixed", value: 0.1 } as const;
const judged = (data: sinkMap.SinkData) => sinkMap.allSinksAt(data, FIXED)[0] as sinkMap.ViewedSinks;

test("in a short prompt nothing is a sink by chance of its position: even attention and any attention in 5 tokens give none", () => {
  for (const keys of [1, 2, 5, 8, 20, 40, 200]) {
    const { exempt, positions } = judged(oneHead(keys, () => 1));
    assert.deepEqual([exempt, positions], [null, []], `${keys} tokens`);
  }
  fc.assert(
    fc.property(fc.array(fc.double({ min: 0.001, max: 1, noNaN: true }), { minLength: 25, maxLength: 25 }), (weights) => {
      const { exempt, positions, unjudged } = judged(oneHead(5, (row, key) => weights[row * 5 + key] as number));
      assert.deepEqual([exempt, positions], [null, []]);
      assert.ok(unjudged.length > 0, "above the threshold they are, and the view says why they do not count");
    }),
  );
});

test("the last tokens, which look at themselves, are left unjudged; a real sink before them is found", () => {
  const keys = 30;
  // A strong first token, a later sink at 9, and every token's own row on itself.
  const data = oneHead(keys, (row, key) => (key === 0 ? 10 : key === 9 ? 6 : key === row ? 5 : 0.1));
  const { exempt, positions, unjudged } = judged(data);
  assert.deepEqual([exempt, positions], [0, [9]]);
  assert.ok(unjudged.includes(keys - 1) && unjudged.every((key) => key > keys - sinkMap.LEAST_ROWS), unjudged.join());
  assert.deepEqual(sinkMap.rolesOf(judged(data)).get(keys - 1), "not judged");
  // Calibration itself counts them: the rule knows no rows.
  assert.ok(sinkMap.sinksAt(sinkMap.meansOf(data, 0, 0), 0.1).positions.includes(keys - 1));
});

test("mass on all keys of a causal matrix is 1, because its rows sum to 1", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 12 }), fc.infiniteStream(fc.double({ min: 0.01, max: 1, noNaN: true })), (n, stream) => {
      const matrix = Array.from({ length: n }, (_, row) => {
        const weights = Array.from({ length: row + 1 }, () => stream.next().value as number);
        const sum = weights.reduce((a, b) => a + b, 0);
        return weights.map((weight) => weight / sum);
      });
      const means = Float32Array.from({ length: n }, (_, key) => {
        const seen = matrix.slice(key).map((row) => row[key] as number);
        return seen.reduce((a, b) => a + b, 0) / seen.length;
      });
      const all = Array.from({ length: n }, (_, key) => key);
      assert.ok(Math.abs(sinkMap.massOn(means, all) - 1) < 1e-5);
    }),
  );
});

test("hiding the initial sink takes exactly its own mass away", () => {
  const data = sample();
  const withInitial = sinkMap.sinkMasses(data, { mode: "fixed", value: 0.1 }, true);
  const without = sinkMap.sinkMasses(data, { mode: "fixed", value: 0.1 }, false);
  for (const { layer, head, exempt } of data.sinks) {
    const at = layer * data.heads + head;
    const own = exempt === null ? 0 : sinkMap.massOn(sinkMap.meansOf(data, layer, head), [exempt]);
    assert.ok(Math.abs((withInitial[at] as number) - (without[at] as number) - own) < 1e-6);
  }
});

test("the shortest decimal of a float32 reads back as the same float32", () => {
  assert.equal(shortestFloat32(Math.fround(0.1)), "0.1");
  fc.assert(
    fc.property(fc.float({ noNaN: true, noDefaultInfinity: true }), (value) => {
      assert.equal(Math.fround(Number(shortestFloat32(value))), value === 0 ? 0 : value);
    }),
    { numRuns: 2000 },
  );
});

test("the CSV reads back to the same numbers, tokens and roles", () => {
  const data = sample();
  const rows = parseCsv(sinkMap.toCsv(data));
  assert.deepEqual(rows.shift(), ["layer", "head", "key", "token", "column_mean", "role"]);
  assert.equal(rows.length, data.layers * data.heads * TOKENS.length);
  const roles = new Map(data.sinks.map((entry) => [`${entry.layer},${entry.head}`, sinkMap.rolesOf(entry)]));
  rows.forEach(([layer, head, key, token, mean, role], index) => {
    assert.equal(Math.fround(Number(mean)), data.columnMeans[index]);
    assert.equal(token, TOKENS[Number(key)]);
    assert.equal(role, roles.get(`${layer},${head}`)?.get(Number(key)) ?? "");
  });
});

test("the JSON has the shape that cli.md promises", () => {
  const data = sample();
  const read = JSON.parse(sinkMap.toJson(data));
  assert.deepEqual(Object.keys(read), ["tokens", "ids", "layers", "heads", "columnMeans", "sinks"]);
  assert.deepEqual(read.tokens, TOKENS);
  assert.deepEqual(
    read.columnMeans.flat(2).map((mean: number) => Math.fround(mean)),
    [...data.columnMeans],
  );
  assert.deepEqual([read.columnMeans.length, read.columnMeans[0].length, read.columnMeans[0][0].length], [2, 3, TOKENS.length]);
  assert.deepEqual(read.sinks, data.sinks);
});

test("the PNG opens elsewhere and its pixels are the column means on the palette", () => {
  const data = sample();
  const raster = sinkMap.toPixels(data);
  assert.deepEqual([raster.width, raster.height], [TOKENS.length, 6]);
  const read = PNG.sync.read(Buffer.from(sinkMap.toPng(data)));
  assert.deepEqual([read.width, read.height], [TOKENS.length * 8, 6 * 8]);
  const palette = sequentialPalette("light");
  const scale = { kind: "linear", max: largest(data.columnMeans) } as const;
  for (let row = 0; row < 6; row++) {
    for (let key = 0; key < TOKENS.length; key++) {
      const at = ((row * 8 + 3) * read.width + key * 8 + 5) * 4;
      const expected = palette[paletteIndex(data.columnMeans[row * TOKENS.length + key] as number, scale)];
      assert.deepEqual([...read.data.subarray(at, at + 4)], [...(expected ?? []), 255]);
    }
  }
});

test("a picture wider than 64 KiB of data is still a whole PNG", () => {
  const data: sinkMap.SinkData = {
    tokens: Array(5000).fill("x"),
    layers: 4,
    heads: 8,
    columnMeans: new Float32Array(4 * 8 * 5000),
    sinks: [],
  };
  data.columnMeans[5000 * 31 + 4999] = 1;
  const read = PNG.sync.read(Buffer.from(sinkMap.toPng(data)));
  assert.deepEqual([read.width, read.height], [4096, 32]);
  assert.deepEqual([...read.data.subarray(-4, -1)], [...(sequentialPalette("light")[255] ?? [])]);
});

test("pooling keeps the largest value of every group and loses none", () => {
  fc.assert(
    fc.property(
      fc.array(fc.float({ min: 0, max: 1, noNaN: true }), { minLength: 1, maxLength: 60 }),
      fc.integer({ min: 1, max: 60 }),
      (values, width) => {
        const columns = values.length;
        const pooled = maxPool(Float32Array.from(values), 1, columns, Math.min(width, columns));
        assert.equal(pooled.length, Math.min(width, columns));
        assert.equal(Math.max(...pooled), Math.max(...values));
      },
    ),
  );
});

test("a picture's scale leaves out no more than the share it may", () => {
  fc.assert(
    fc.property(fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 1, maxLength: 400 }), (values) => {
      const max = robustMax(values, 0.05);
      const positive = values.filter((value) => value > 0);
      assert.ok(positive.filter((value) => value > max).length <= positive.length * 0.05);
      assert.ok(max <= Math.max(1e-6, ...values) * 1.0001);
    }),
  );
  assert.ok(robustMax([1, ...Array(999).fill(0.1), Number.NaN]) < 0.11);
});

test("labels of a legend keep apart, and the largest value always has one", () => {
  fc.assert(
    fc.property(fc.double({ min: 2e-4, max: 1, noNaN: true }), (max) => {
      const scale = { kind: "log", max } as const;
      const places = ticks(scale).map((value) => place(value, scale));
      assert.equal(places.at(-1), 1);
      for (let index = 1; index < places.length; index++) assert.ok((places[index] as number) - (places[index - 1] as number) >= 0.3);
    }),
  );
});

test("SVG and HTML escape what a prompt can hold", () => {
  const data = sample();
  data.tokens = ["<script>alert(1)</script>", "&amp;", "\u0000\ud800", '"', "</text>"];
  const svg = sinkMap.toSvg(data);
  assert.ok(!svg.includes("<script>") && svg.includes("&lt;script&gt;") && svg.includes("&amp;amp;"));
  assert.ok(!/[^\P{Cc}\n]|\p{Cs}/u.test(svg));
  const html = sinkMap.toHtml(data, PARTS);
  assert.equal(html.match(/<script>/g)?.length, 1);
  assert.ok(html.includes(sinkMap.NOT_AN_EXPLANATION));
});

test("column means that do not fit the sizes are refused in a sentence", () => {
  const data = { ...sample(), columnMeans: new Float32Array(3) };
  for (const write of [sinkMap.toCsv, sinkMap.toJson, sinkMap.toSvg, toHtml, sinkMap.toPng])
    assert.throws(() => write(data), /3 column means.*need 30/);
});

test("a prompt of one token can be exported", () => {
  const data: sinkMap.SinkData = {
    tokens: ["x"],
    layers: 1,
    heads: 1,
    columnMeans: Float32Array.of(1),
    sinks: [{ layer: 0, head: 0, exempt: 0, positions: [] }],
  };
  for (const write of [sinkMap.toCsv, sinkMap.toJson, sinkMap.toSvg, toHtml, sinkMap.toPng]) assert.ok(write(data).length > 0);
});

/** A small reader of RFC 4180, so that the test does not believe the writer. */
function parseCsv(text: string): string[][] {
  const rows: string[][] = [[]];
  let field = "";
  let quoted = false;
  for (let at = 0; at < text.length; at++) {
    const letter = text[at] as string;
    if (quoted) {
      if (letter !== '"') field += letter;
      else if (text[at + 1] === '"') field += text[++at];
      else quoted = false;
    } else if (letter === '"') quoted = true;
    else if (letter === "," || letter === "\n") {
      (rows.at(-1) as string[]).push(field);
      field = "";
      if (letter === "\n") rows.push([]);
    } else field += letter;
  }
  rows.pop();
  return rows;
}
