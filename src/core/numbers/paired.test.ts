import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { benjaminiHochberg, compareAccuracy, compareMeans, mcNemar, pairedBootstrap, pairedProportions, summarize } from "./paired.js";
import { choose, derivedSeed, normal, random } from "./random.js";

const near = (a: number, b: number, tolerance: number) =>
  assert.ok(Math.abs(a - b) <= tolerance, `${a} is not within ${tolerance} of ${b}`);

test("random numbers: the seed decides, and they are uniform", () => {
  const draw = (seed: number) => Array.from({ length: 5 }, random(seed));
  assert.deepEqual(draw(42), draw(42));
  assert.notDeepEqual(draw(42), draw(84));
  assert.notEqual(derivedSeed(1, "choose"), derivedSeed(1, "confirm"));
  const rng = random(7);
  const values = Array.from({ length: 20000 }, rng);
  near(values.reduce((a, b) => a + b, 0) / values.length, 0.5, 0.01);
  const normals = Array.from({ length: 20000 }, () => normal(rng));
  const { mean, standardError } = summarize(normals);
  near(mean, 0, 4 * standardError);
  near(standardError * Math.sqrt(20000), 1, 0.03);
  assert.deepEqual([...choose([1, 2, 3, 4], 4, rng)].sort(), [1, 2, 3, 4]);
  assert.throws(() => choose([1], 2, rng), /Cannot choose 2 of 1/);
});

test("exact McNemar against sums of binomial coefficients", () => {
  // 2 * (1 + 10 + 45) / 1024, 2 * 1 / 32, and no change at all.
  near(mcNemar(2, 8), 0.109375, 1e-12);
  near(mcNemar(5, 0), 0.0625, 1e-12);
  assert.equal(mcNemar(0, 0), 1);
  assert.equal(mcNemar(4, 4), 1);
  near(mcNemar(30, 70), mcNemar(70, 30), 1e-12);
});

test("Tango's interval solves its score equation and always holds the estimate", () => {
  fc.assert(
    fc.property(fc.nat(40), fc.nat(40), fc.integer({ min: 0, max: 200 }), (gained, lost, same) => {
      const n = gained + lost + same;
      if (n === 0) return;
      const [low, high] = pairedProportions(gained, lost, n);
      const estimate = (gained - lost) / n;
      assert.ok(low <= estimate && estimate <= high && high > low && low >= -1 && high <= 1);
      const [mirrorLow, mirrorHigh] = pairedProportions(lost, gained, n);
      near(low, -mirrorHigh, 1e-9);
      near(high, -mirrorLow, 1e-9);
    }),
  );
  // No discordant pair: the ends are at +-z^2 / (n + z^2) (Tango 1998).
  const z2 = 1.959964 ** 2;
  near(pairedProportions(0, 0, 100)[1], z2 / (100 + z2), 1e-6);
});

test("Tango's interval covers the truth about 95 times in 100, with few changes as well", () => {
  for (const [up, down, n] of [
    [0.05, 0.05, 200],
    [0.15, 0.03, 200],
    [0.02, 0.01, 150],
  ] as const) {
    const rng = random(derivedSeed(1, `${up}`));
    let covered = 0;
    const runs = 3000;
    for (let run = 0; run < runs; run++) {
      let gained = 0;
      let lost = 0;
      for (let i = 0; i < n; i++) {
        const u = rng();
        if (u < up) gained++;
        else if (u < up + down) lost++;
      }
      const [low, high] = pairedProportions(gained, lost, n);
      if (low <= up - down && up - down <= high) covered++;
    }
    assert.ok(covered / runs > 0.935 && covered / runs < 0.985, `coverage ${covered / runs} at ${up}, ${down}`);
  }
});

test("the bootstrap interval agrees with the normal one on many values, and is reproducible", () => {
  const rng = random(3);
  const values = Array.from({ length: 400 }, () => 0.3 + normal(rng));
  const { mean, standardError } = summarize(values);
  const [low, high] = pairedBootstrap(values, 5);
  near(low, mean - 1.96 * standardError, 0.02);
  near(high, mean + 1.96 * standardError, 0.02);
  assert.deepEqual(pairedBootstrap(values, 5), [low, high]);
});

test("paired comparisons", () => {
  const before = [true, false, false, true, false];
  const after = [true, true, true, false, true];
  const result = compareAccuracy(before, after);
  assert.deepEqual([result.n, result.baseline, result.calibrated], [5, 0.4, 0.8]);
  near(result.difference, 0.4, 1e-12);
  near(result.p, (2 * (1 + 4)) / 16, 1e-9);
  assert.throws(() => compareAccuracy([true], []), /equally many/);
  const shift = compareMeans([1, 2, 3, 4, 5, 6, 7, 8], [2, 3, 4.5, 5, 6.5, 7, 8, 9.1], 1);
  assert.ok(shift.interval[0] > 0.9 && shift.p < 0.02);
});

test("Benjamini-Hochberg keeps the stated false-discovery rate", () => {
  assert.deepEqual(benjaminiHochberg([0.01, 0.04, 0.03, 0.5], 0.05), [true, false, false, false]);
  assert.deepEqual(benjaminiHochberg([0.01, 0.02, 0.03, 0.5], 0.05), [true, true, true, false]);
  const rng = random(11);
  let wrong = 0;
  const runs = 400;
  for (let run = 0; run < runs; run++) {
    // 20 true effects, 180 nulls.
    const p = Array.from({ length: 200 }, (_, i) => (i < 20 ? rng() * 1e-4 : rng()));
    const kept = benjaminiHochberg(p, 0.1);
    const found = kept.filter(Boolean).length;
    wrong += found === 0 ? 0 : kept.slice(20).filter(Boolean).length / found;
  }
  assert.ok(wrong / runs < 0.12, `false-discovery rate ${wrong / runs}`);
});
