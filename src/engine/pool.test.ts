import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { poolMatrix } from "./pool.js";

const causal = (n: number) => Float32Array.from({ length: n * n }, (_, i) => (i % n <= Math.floor(i / n) ? ((i * 37) % 101) / 100 : 9));

test("short: the matrix itself, nothing above the diagonal", () => {
  const { pool, rows, columns, values } = poolMatrix(Float32Array.of(1, 9, 9, 0.5, 0.5, 9, 0.2, 0.3, 0.5), 3, [0, 3], [0, 3], 8);
  assert.deepEqual([pool, rows, columns], [1, 3, 3]);
  assert.deepEqual([...values], [1, Number.NaN, Number.NaN, 0.5, 0.5, Number.NaN, Math.fround(0.2), Math.fround(0.3), 0.5]);
});

test("long: each cell is the largest value it covers", () => {
  const { pool, rows, values } = poolMatrix(Float32Array.of(1, 9, 9, 0.5, 0.5, 9, 0.2, 0.3, 0.5), 3, [0, 3], [0, 3], 2);
  assert.deepEqual([pool, rows], [2, 2]);
  assert.deepEqual([...values], [1, Number.NaN, Math.fround(0.3), 0.5]);
});

test("property: sides within the limit, every cell the maximum of its block by definition", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 25 }), fc.nat(19), fc.nat(19), (n, maxSide, r, c) => {
      const rows = [Math.min(r, n - 1), n] as const;
      const columns = [Math.min(c, n - 1), n] as const;
      const matrix = causal(n);
      const pooled = poolMatrix(matrix, n, rows, columns, maxSide);
      assert.ok(pooled.rows <= maxSide && pooled.columns <= maxSide);
      pooled.values.forEach((value, cell) => {
        const row0 = rows[0] + Math.floor(cell / pooled.columns) * pooled.pool;
        const column0 = columns[0] + (cell % pooled.columns) * pooled.pool;
        let expected = Number.NaN;
        for (let row = row0; row < Math.min(n, row0 + pooled.pool); row++) {
          for (let column = column0; column <= Math.min(row, n - 1, column0 + pooled.pool - 1); column++) {
            const seen = matrix[row * n + column] ?? 0;
            if (Number.isNaN(expected) || seen > expected) expected = seen;
          }
        }
        assert.equal(value, expected);
      });
    }),
  );
});
