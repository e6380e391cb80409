import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { divergingPalette, sequentialPalette } from "../../src/core/picture/colour.js";
import { paletteIndex } from "../../src/core/picture/scale.js";
import type { HeadMatrix } from "../../src/protocol/engine.js";
import { cellAt, stepTo } from "./hit.js";
import { difference, paintCells } from "./raster.js";
import { strips, withoutInitial } from "./thumbnails.js";
import { Tiles, type TileWish } from "./tiles.js";
import { CLOSEST, pan, reveal, whole, zoom } from "./viewport.js";

const palette = sequentialPalette("dark");

test("each cell becomes the pixel of its value; NaN becomes the colour of the upper triangle", () => {
  const scale = { kind: "linear", max: 1 } as const;
  const { data } = paintCells(Float32Array.of(0, 1, Number.NaN, 0.5), 2, 2, { palette, scale, missing: [1, 2, 3] });
  assert.deepEqual([...data.subarray(0, 4)], [...(palette[0] ?? []), 255]);
  assert.deepEqual([...data.subarray(4, 8)], [...(palette[255] ?? []), 255]);
  assert.deepEqual([...data.subarray(8, 12)], [1, 2, 3, 255]);
  assert.deepEqual([...data.subarray(12, 16)], [...(palette[128] ?? []), 255]);
});

test("the fast linear path and the plain scale agree on every value", () => {
  fc.assert(
    fc.property(fc.array(fc.double({ min: -1, max: 2 })), fc.double({ min: 0.01, max: 1, noNaN: true }), (values, max) => {
      const scale = { kind: "linear", max } as const;
      const { data } = paintCells(values, values.length, values.length > 0 ? 1 : 0, { palette, scale, missing: null });
      values.forEach((value, at) => {
        const index = paletteIndex(value, scale);
        assert.deepEqual([...data.subarray(at * 4, at * 4 + 4)], index < 0 ? [0, 0, 0, 0] : [...(palette[index] ?? []), 255]);
      });
    }),
  );
});

test("a difference is drawn on both sides of zero", () => {
  const colours = divergingPalette("light");
  const values = difference(Float32Array.of(0.5, 0.25, Number.NaN), Float32Array.of(0.25, 0.5, Number.NaN));
  const { data } = paintCells(values, 3, 1, { palette: colours, scale: { kind: "linear", max: 0.25 }, diverging: true, missing: null });
  assert.deepEqual([...data.subarray(0, 3)], [...(colours[0] ?? [])]);
  assert.deepEqual([...data.subarray(4, 7)], [...(colours[255] ?? [])]);
  assert.equal(data[11], 0);
});

test("wrong sizes are refused", () => {
  assert.throws(
    () => paintCells([1, 2, 3], 2, 2, { palette, scale: { kind: "linear", max: 1 }, missing: null }),
    /3 values do not fill 2 x 2/,
  );
});

test("every point of the box hits the cell whose rectangle holds it", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 40 }),
      fc.integer({ min: 1, max: 40 }),
      fc.double({ min: 0, max: 0.999999, noNaN: true }),
      (rows, columns, t) => {
        const cell = cellAt(t * 300, t * 200, 300, 200, { rows, columns });
        assert.ok(
          cell &&
            cell.row <= t * rows &&
            t * rows < cell.row + 1 + 1e-9 &&
            cell.column <= t * columns &&
            t * columns < cell.column + 1 + 1e-9,
        );
      },
    ),
  );
  assert.equal(cellAt(-1, 5, 10, 10, { rows: 2, columns: 2 }), null);
  assert.equal(cellAt(10, 5, 10, 10, { rows: 2, columns: 2 }), null);
  assert.equal(cellAt(1, 1, 10, 10, { rows: 0, columns: 2 }), null);
});

test("keys never leave the grid and reach its corners", () => {
  const size = { rows: 5, columns: 4 };
  assert.deepEqual(stepTo({ row: 0, column: 0 }, "ArrowUp", false, size), { row: 0, column: 0 });
  assert.deepEqual(stepTo({ row: 2, column: 1 }, "PageDown", false, size), { row: 4, column: 1 });
  assert.deepEqual(stepTo({ row: 2, column: 1 }, "End", true, size), { row: 4, column: 3 });
  assert.deepEqual(stepTo({ row: 2, column: 1 }, "Home", false, size), { row: 2, column: 0 });
  assert.equal(stepTo({ row: 2, column: 1 }, "x", false, size), null);
});

test("zooming and moving stay inside the prompt, and the point under the pointer stays put", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 32768 }),
      fc.array(
        fc.tuple(
          fc.double({ min: 0.25, max: 4, noNaN: true }),
          fc.double({ min: 0, max: 1, noNaN: true }),
          fc.integer({ min: -9999, max: 9999 }),
        ),
        { maxLength: 9 },
      ),
      (tokens, moves) => {
        let view = whole(tokens);
        for (const [factor, at, by] of moves) {
          const before = view.column + view.side * at;
          const zoomed = zoom(view, factor, at, at, tokens);
          const free = zoomed.column > 0 && zoomed.column + zoomed.side < tokens;
          if (free) assert.ok(Math.abs(zoomed.column + zoomed.side * at - before) <= 1);
          view = pan(zoomed, by, -by, tokens);
          assert.ok(view.row >= 0 && view.column >= 0 && view.row + view.side <= tokens && view.column + view.side <= tokens);
          assert.ok(view.side >= Math.min(CLOSEST, tokens));
        }
      },
    ),
  );
});

test("a cell outside the view is brought into it", () => {
  assert.deepEqual(reveal({ row: 0, column: 0, side: 10 }, 25, 3, 100), { row: 16, column: 0, side: 10 });
  assert.deepEqual(reveal({ row: 50, column: 50, side: 10 }, 25, 55, 100), { row: 25, column: 50, side: 10 });
});

function tile(cells: number): HeadMatrix {
  return {
    layer: 0,
    head: 0,
    rows: 1,
    columns: cells,
    pool: 1,
    rowStart: 0,
    columnStart: 0,
    values: new Float32Array(cells),
    calibrated: null,
  };
}

const wish = (row: number): TileWish => ({ mapId: "m", layer: 0, head: 0, view: { row, column: 0, side: 8 } });

test("of many wishes only the running one and the newest are fetched, and only the newest is reported", async () => {
  const fetched: number[] = [];
  const arrived: number[] = [];
  const gates: (() => void)[] = [];
  const tiles = new Tiles(
    async ({ view }) => {
      fetched.push(view.row);
      await new Promise<void>((open) => gates.push(open));
      return tile(4);
    },
    { arrived: ({ view }) => arrived.push(view.row), failed: () => assert.fail("no request fails here") },
  );
  for (let row = 0; row < 50; row++) tiles.want(wish(row));
  gates.shift()?.();
  await settle();
  gates.shift()?.();
  await settle();
  assert.deepEqual(fetched, [0, 49]);
  assert.deepEqual(arrived, [49]);
  assert.ok(tiles.get(wish(0)) && tiles.get(wish(49)));
});

test("a failed tile says so, and the next wish is still served", async () => {
  const told: string[] = [];
  let fail = true;
  const tiles = new Tiles(
    async () => {
      if (fail) throw new Error("The engine is gone.");
      return tile(4);
    },
    { arrived: () => told.push("arrived"), failed: (_, message) => told.push(message) },
  );
  tiles.want(wish(1));
  await settle();
  fail = false;
  tiles.want(wish(1));
  await settle();
  assert.deepEqual(told, ["The engine is gone.", "arrived"]);
});

test("memory stays bounded while scrolling, and the tile used last stays", async () => {
  const tiles = new Tiles(async () => tile(1024 * 1024), { arrived: () => {}, failed: () => {} });
  for (let row = 0; row < 30; row++) {
    tiles.want(wish(row));
    await settle();
    assert.ok(tiles.cells <= 8 * 1024 * 1024);
  }
  assert.ok(tiles.get(wish(29)));
  assert.equal(tiles.get(wish(0)), undefined);
  tiles.clear();
  assert.equal(tiles.cells, 0);
});

test("strips keep every head's largest mean, and leaving the initial sinks out touches nothing else", () => {
  const columnMeans = Float32Array.from({ length: 2 * 2 * 50 }, (_, index) => ((index * 31) % 97) / 97);
  const data = { tokens: Array(50).fill("x"), layers: 2, heads: 2, columnMeans, sinks: [] };
  const { values, width, height } = strips(data, 8);
  assert.deepEqual([width, height, values.length], [16, 2, 32]);
  for (let head = 0; head < 4; head++) {
    assert.equal(Math.max(...values.subarray(head * 8, head * 8 + 8)), Math.max(...columnMeans.subarray(head * 50, head * 50 + 50)));
  }
  const hidden = withoutInitial(data, (layer, head) => (layer === 1 && head === 0 ? 7 : null)).columnMeans;
  assert.equal(hidden[100 + 7], 0);
  assert.deepEqual(
    [...hidden].filter((_, index) => index !== 107),
    [...columnMeans].filter((_, index) => index !== 107),
  );
});

function settle(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
