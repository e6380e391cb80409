import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { calibrateMatrix, calibratePadded, calibrateRow, calibrateSegments, HeadState, type Segment, tuneInitialToken } from "./act.js";

const folder = "test/oracle/vectors";
/** Golden numbers are rounded to 10 decimals (test/oracle README: 1e-9 in float64). */
const TOLERANCE = 1e-9;

interface Expected {
  limit: number;
  c: number[];
  exempt: number | null;
  sinks: number[];
  out: number[][];
}
interface Vector extends Expected {
  kind: "matrix" | "blocks" | "padded";
  beta: number;
  mode: "fixed" | "relative";
  thres: number;
  alpha: number;
  A: number[][];
  blocks: (Expected & { size: number })[];
  real: number[];
}

function same(actual: Segment, expected: Expected): void {
  assert.equal(actual.exempt, expected.exempt);
  assert.deepEqual(actual.sinks, expected.sinks);
  assert.ok(Math.abs(actual.limit - expected.limit) < TOLERANCE);
  assert.equal(actual.columnMeans.length, expected.c.length);
  expected.c.forEach((c, k) => {
    assert.ok(Math.abs((actual.columnMeans[k] as number) - c) < TOLERANCE, `column mean ${k}`);
  });
  assert.equal(actual.out.length, expected.out.length);
  expected.out.forEach((row, q) => {
    row.forEach((weight, k) => {
      assert.ok(Math.abs((actual.out[q]?.[k] as number) - weight) < TOLERANCE, `row ${q}, key ${k}`);
    });
  });
}

const files = readdirSync(folder).filter((name) => name.endsWith(".json"));
test("all golden vectors are there", () => assert.equal(files.length, 31));
for (const file of files) {
  test(`golden vector ${file}`, () => {
    const vector = JSON.parse(readFileSync(join(folder, file), "utf8")) as Vector;
    const value = vector.mode === "fixed" ? vector.thres : vector.alpha;
    const options = {
      beta: vector.beta,
      threshold: { mode: vector.mode, value },
    };
    if (vector.kind === "matrix") same(calibrateMatrix(vector.A, options), vector);
    else if (vector.kind === "padded") {
      same(
        calibratePadded(
          vector.A,
          vector.real.map((flag) => flag === 1),
          options,
        ),
        vector,
      );
    } else {
      const sizes = vector.blocks.map((block) => block.size);
      calibrateSegments(vector.A, sizes, options).forEach((segment, i) => {
        same(segment, vector.blocks[i] as Expected);
      });
    }
  });
}

/** Random causal attention of 1..24 tokens with a few heavy columns. */
const attention = fc.integer({ min: 1, max: 24 }).chain((n) =>
  fc
    .record({
      scores: fc.array(fc.double({ min: -6, max: 6, noNaN: true }), {
        minLength: n * n,
        maxLength: n * n,
      }),
      heavy: fc.array(fc.nat(n - 1), { maxLength: 3 }),
    })
    .map(({ scores, heavy }) =>
      Array.from({ length: n }, (_, q) => {
        const row = Array.from({ length: q + 1 }, (_, k) => Math.exp((scores[q * n + k] as number) + (heavy.includes(k) ? 5 : 0)));
        const sum = row.reduce((a, b) => a + b, 0);
        return row.map((weight) => weight / sum);
      }),
    ),
);
const threshold = fc.oneof(
  fc.record({
    mode: fc.constant("fixed" as const),
    value: fc.double({ min: 0.01, max: 0.5, noNaN: true }),
  }),
  fc.record({
    mode: fc.constant("relative" as const),
    value: fc.double({ min: 0.5, max: 8, noNaN: true }),
  }),
);
const beta = fc.double({ min: 0, max: 2, noNaN: true });
const sum = (row: ArrayLike<number>) => Array.from(row).reduce((a, b) => a + b, 0);

test("every calibrated row still sums to 1, and has no negative weight unless sinks are strengthened", () => {
  fc.assert(
    fc.property(attention, beta, threshold, (rows, b, t) => {
      for (const row of calibrateMatrix(rows, { beta: b, threshold: t }).out) {
        assert.ok(Math.abs(sum(row) - 1) < 1e-12);
        assert.ok(b > 1 || row.every((weight) => weight >= 0));
      }
    }),
  );
});

test("a row is linear in the strength 1 - beta, up to beta 2", () => {
  fc.assert(
    fc.property(attention, beta, threshold, (rows, b, t) => {
      const { out, sinks } = calibrateMatrix(rows, { beta: b, threshold: t });
      const zero = calibrateMatrix(rows, { beta: 0, threshold: t });
      assert.deepEqual(zero.sinks, sinks);
      out.forEach((row, q) => {
        row.forEach((weight, k) => {
          const before = rows[q]?.[k] ?? 0;
          assert.ok(Math.abs(weight - (before + (1 - b) * ((zero.out[q]?.[k] as number) - before))) < 1e-9);
        });
      });
    }),
  );
});

test("beta 1 changes nothing, for any split into segments", () => {
  fc.assert(
    fc.property(attention, threshold, fc.integer({ min: 1, max: 7 }), (rows, t, size) => {
      const sizes = Array.from({ length: Math.ceil(rows.length / size) }, (_, i) => Math.min(size, rows.length - i * size));
      const out = calibrateSegments(rows, sizes, {
        beta: 1,
        threshold: t,
      }).flatMap((segment) => segment.out);
      out.forEach((row, q) => {
        rows[q]?.forEach((weight, k) => {
          assert.ok(Math.abs((row[k] as number) - weight) < 1e-15);
        });
      });
    }),
  );
});

test("the last segment sees the statistics of the whole prompt, however it was split", () => {
  fc.assert(
    fc.property(attention, beta, threshold, fc.integer({ min: 1, max: 7 }), (rows, b, t, size) => {
      const options = { beta: b, threshold: t };
      const whole = calibrateMatrix(rows, options);
      const sizes = Array.from({ length: Math.ceil(rows.length / size) }, (_, i) => Math.min(size, rows.length - i * size));
      const last = calibrateSegments(rows, sizes, options).at(-1) as Segment;
      assert.deepEqual(last.sinks, whole.sinks);
      assert.equal(last.exempt, whole.exempt);
      last.out.forEach((row, i) => {
        const full = whole.out[rows.length - last.out.length + i] as Float64Array;
        full.forEach((weight, k) => {
          assert.ok(Math.abs(weight - (row[k] ?? 0)) < 1e-12);
        });
      });
    }),
  );
});

test("the identity that keeps FlashAttention: r o + (beta - r) sum A v", () => {
  fc.assert(
    fc.property(attention, beta, threshold, (rows, b, t) => {
      const { out, sinks } = calibrateMatrix(rows, { beta: b, threshold: t });
      const value = (k: number) => Math.sin(k * 1.7) + 0.3;
      rows.forEach((row, q) => {
        const m = sinks.reduce((total, k) => total + (row[k] ?? 0), 0);
        if (1 - m < 1e-3) return;
        const o = row.reduce((total, weight, k) => total + weight * value(k), 0);
        const r = (1 - b * m) / (1 - m);
        const corrected = r * o + (b - r) * sinks.reduce((total, k) => total + (row[k] ?? 0) * value(k), 0);
        const direct = (out[q] as Float64Array).reduce((total, weight, k) => total + weight * value(k), 0);
        assert.ok(Math.abs(corrected - direct) < 1e-9);
      });
    }),
  );
});

test("a row with nobody to receive the mass stays as it is", () => {
  assert.deepEqual(Array.from(calibrateRow([0.5, 0.5, 0], [0, 1], 0.4)), [0.5, 0.5, 0]);
});

test("initial token gain keeps the row sum and is an identity at 1", () => {
  fc.assert(
    fc.property(attention, fc.double({ min: 0, max: 4, noNaN: true }), (rows, gain) => {
      for (const row of rows) {
        assert.ok(Math.abs(sum(tuneInitialToken(row, gain)) - 1) < 1e-12);
        tuneInitialToken(row, 1).forEach((weight, k) => {
          assert.ok(Math.abs(weight - (row[k] as number)) < 1e-12);
        });
      }
    }),
  );
});

test("rows of a wrong length are refused", () => {
  const state = new HeadState({
    beta: 0.4,
    threshold: { mode: "fixed", value: 0.1 },
  });
  assert.throws(() => state.segment([[1], [0.5]]), /Row 1 has 1 keys/);
});
