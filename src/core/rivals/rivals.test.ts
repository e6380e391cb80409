import assert from "node:assert/strict";
import { test } from "node:test";
import { normal, random } from "../numbers/random.js";
import { compareBiasFree, fitRivals, isRight, RIVAL_NAMES } from "./rivals.js";
import { batchCalibration, contextualCalibration, fitAffine, fitProbe, plain, type Row } from "./rules.js";

/** Rows of a model that knows something (`skill`), leans to answers (`bias`), and stretches them (`stretch`). */
function rows(count: number, labels: number, seed: number, { skill = 1.5, bias = [] as number[], stretch = [] as number[] } = {}): Row[] {
  const rng = random(seed);
  return Array.from({ length: count }, () => {
    const label = Math.floor(rng() * labels);
    const shift = 5 * normal(rng);
    const scores = Array.from(
      { length: labels },
      (_, a) => ((a === label ? skill : 0) + normal(rng)) * (stretch[a] ?? 1) + (bias[a] ?? 0) + shift,
    );
    const hidden = Float32Array.from({ length: 12 }, (_, f) => normal(rng) + (f === label ? 2.5 : 0));
    return { scores, label, hidden };
  });
}
const accuracy = (rule: Parameters<typeof isRight>[0], on: readonly Row[]) => on.filter((row) => isRight(rule, row)).length / on.length;

test("batch calibration takes a bias away and looks at no label", () => {
  const biased = rows(400, 3, 1, { bias: [6, 0, -3] });
  const fair = rows(400, 3, 1);
  assert.ok(accuracy(plain, biased) < 0.5);
  assert.ok(accuracy(batchCalibration(biased), biased) > accuracy(plain, fair) - 0.03);
  const relabelled = biased.map((row) => ({ ...row, label: 0 }));
  const probe = biased[7] as Row;
  assert.deepEqual(batchCalibration(biased)(probe), batchCalibration(relabelled)(probe));
});

test("rules give probabilities, whatever is added to all scores, also where prompts have different numbers of choices", async () => {
  const mixed = [...rows(60, 3, 2), ...rows(60, 5, 3)];
  for (const rule of [plain, batchCalibration(mixed), await fitAffine(mixed), contextualCalibration([[1, 2, 3, 4, 5]])]) {
    for (const row of mixed) {
      const p = rule(row);
      assert.equal(p.length, row.scores.length);
      assert.ok(Math.abs(p.reduce((a, b) => a + b) - 1) < 1e-9);
      const moved = rule({ scores: row.scores.map((score) => score + 100) });
      for (const [a, value] of p.entries()) assert.ok(Math.abs(value - (moved[a] as number)) < 1e-6);
    }
  }
});

test("the affine correction mends what batch calibration cannot: an answer whose score says the opposite", async () => {
  const options = { skill: 2, bias: [2, 0, 0], stretch: [1, 1, -1] };
  const training = rows(300, 3, 4, options);
  const held = rows(400, 3, 5, options);
  const affine = accuracy(await fitAffine(training), held);
  assert.ok(affine > accuracy(batchCalibration(training), held) + 0.05, `${affine}`);
});

test("few rows, one label only, or separable rows leave every rule finite", async () => {
  for (const few of [rows(3, 2, 6), rows(8, 4, 7).map((row) => ({ ...row, label: 1 })), rows(20, 2, 8, { skill: 50 })])
    for (const { rule } of await fitRivals({ off: few, on: few }))
      for (const row of few) assert.ok(rule(row).every((p) => Number.isFinite(p) && p >= 0 && p <= 1));
});

test("the probe reads the hidden state; a state that says nothing is no better than chance", async () => {
  const training = rows(200, 3, 9, { skill: 0 });
  const held = rows(400, 3, 10, { skill: 0 });
  assert.ok(accuracy(await fitProbe(training), held) > 0.8);
  const rng = random(11);
  const noise = (of: Row[]) => of.map((row) => ({ ...row, hidden: row.hidden?.map(() => normal(rng)) ?? new Float32Array() }));
  assert.ok(accuracy(await fitProbe(noise(training)), noise(held)) < 0.45);
});

test("fitting lets others in", async () => {
  let rests = 0;
  await fitRivals({ off: rows(100, 2, 12) }, async () => {
    rests++;
  });
  assert.ok(rests > 20);
});

test("rivals with the set read the scores with the set", async () => {
  const off = rows(200, 2, 13, { skill: 0 });
  const on = off.map((row) => ({ ...row, scores: row.scores.map((score, a) => score + (a === row.label ? 3 : 0)) }));
  const fitted = await fitRivals({ off, on });
  assert.deepEqual(
    fitted.map(({ name, arm }) => [name, arm]),
    [
      [RIVAL_NAMES.batch, "off"],
      [RIVAL_NAMES.affine, "off"],
      [RIVAL_NAMES.setBatch, "on"],
      [RIVAL_NAMES.setAffine, "on"],
      [RIVAL_NAMES.probe, "off"],
    ],
  );
  for (const { arm, rule, name } of fitted) if (arm === "on") assert.ok(accuracy(rule, on) > 0.9, name);
});

test("a set that only moves a bias gains nothing in the bias-free measure; one that adds skill does", () => {
  for (const labels of [2, 4]) {
    const off = rows(300, labels, 14 + labels, { bias: [5] });
    const moved = off.map((row) => ({ ...row, scores: row.scores.map((score, a) => score - (a === 0 ? 5 : 0)) }));
    const skilled = off.map((row) => ({ ...row, scores: row.scores.map((score, a) => score + (a === row.label ? 2 : 0)) }));
    assert.ok(accuracy(plain, moved) > accuracy(plain, off) + 0.1);
    const bias = compareBiasFree(off, moved);
    assert.equal(bias?.measure, labels === 2 ? "AUC" : "accuracy after batch calibration");
    assert.ok(Math.abs(bias?.difference ?? 1) < 1e-9);
    const skill = compareBiasFree(off, skilled);
    assert.ok((skill?.difference ?? 0) > 0.05 && (skill?.interval[0] ?? 0) > 0);
  }
  assert.equal(compareBiasFree([{ scores: [1, 2], label: 1 }], [{ scores: [1, 2], label: 1 }]), null);
});

test("contextual calibration divides by what content-free inputs get", () => {
  // The model leans to answer 1; relative to that lean, answer 0 gained.
  const rule = contextualCalibration([[0, 3]]);
  assert.ok(isRight(rule, { scores: [1, 2], label: 0 }));
});
