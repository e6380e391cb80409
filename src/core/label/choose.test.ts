import assert from "node:assert/strict";
import { test } from "node:test";
import { ActError } from "../../protocol/errors.js";
import { normal, random } from "../numbers/random.js";
import { wilson } from "../numbers/wilson.js";
import type { Row } from "../rivals/rules.js";
import type { Classification } from "../tasks/task.js";
import { chooseLabeller } from "./choose.js";
import { labelOf, writesNumbers } from "./marks.js";

/** Scores that lean to answer 0 by `lean`, and know the answer by `skill`; hidden states that know it by `state`. */
function rows(count: number, seed: number, { lean = 0, skill = 0, state = 0 }): Row[] {
  const rng = random(seed);
  return Array.from({ length: count }, () => {
    const label = rng() < 0.5 ? 0 : 1;
    const scores = [lean + normal(rng), skill * (label === 1 ? 1 : -1) + normal(rng)];
    return {
      label,
      scores,
      hidden: Float32Array.from({ length: 6 }, (_, f) => normal(rng) + (f === 0 ? state * (label === 1 ? 1 : -1) : 0)),
    };
  });
}

test("the rule that suits the rows is taken: the scores where only those know, the hidden state where only that does", async () => {
  const biased = await chooseLabeller({ off: rows(120, 1, { lean: 4, skill: 1.5 }) });
  assert.match(biased.best.name, /batch calibration|affine/);
  const hidden = await chooseLabeller({ off: rows(120, 2, { lean: 4, state: 1.5 }) });
  assert.equal(hidden.best.name, "linear probe");
  assert.ok(hidden.best.needsHidden && !biased.best.needsHidden);
  assert.ok(hidden.expected.accuracy > 0.85 && hidden.expected.n === 120);
  assert.ok((hidden.rivals.find(({ name }) => name === "none")?.accuracy ?? 1) < 0.6);
  assert.ok(hidden.above(0.95).accuracy > hidden.expected.accuracy && hidden.above(0.95).n < 120);
  assert.deepEqual(hidden.above(1.1), { accuracy: 0, interval: [0, 1], n: 0 });
});

test("with a set, what it knows counts", async () => {
  const off = rows(100, 3, { lean: 3 });
  const on = off.map((row) => ({ ...row, scores: [0, row.label === 1 ? 2 : -2] }));
  const { best, rivals } = await chooseLabeller({ off, on });
  assert.equal(best.arm, "on");
  assert.ok(rivals.some(({ name }) => name === "set"));
});

test("the expected accuracy is not the luck of the best of many: where nothing is known it is a half", async () => {
  let sum = 0;
  for (let seed = 0; seed < 8; seed++) sum += (await chooseLabeller({ off: rows(40, 100 + seed, {}) })).expected.accuracy;
  assert.ok(Math.abs(sum / 8 - 0.5) < 0.08, `${sum / 8}`);
});

test("the interval holds the accuracy on new rows about as often as it says", async () => {
  let held = 0;
  for (let seed = 0; seed < 12; seed++) {
    const { best, expected } = await chooseLabeller({ off: rows(40, 200 + seed, { lean: 2, skill: 0.8, state: 0.8 }) });
    const fresh = rows(1000, 300 + seed, { lean: 2, skill: 0.8, state: 0.8 });
    const right = fresh.filter((row) => (best.rule(row)[row.label] as number) > 0.5).length / fresh.length;
    if (expected.interval[0] <= right && right <= expected.interval[1]) held++;
  }
  assert.ok(held >= 10, `${held} of 12`);
});

test("Wilson's interval is never a point", () => {
  assert.deepEqual(wilson(0, 0), [0, 1]);
  const [low, high] = wilson(1, 10);
  assert.ok(Math.abs(low - 0.7225) < 1e-3 && high === 1);
});

const task: Classification = {
  name: "t",
  version: 1,
  kind: "classification",
  instruction: "",
  template: "{text}",
  labelWords: [" negative", " positive"],
};

test("marks are label words in any case, or numbers; others are one sentence", () => {
  assert.deepEqual(
    ["negative", " Positive ", "1", 0].map((mark) => labelOf(task, mark, "r.csv, line 2")),
    [0, 1, 1, 0],
  );
  for (const wrong of ["2", "neutral", "-1", "0.5"])
    assert.throws(
      () => labelOf(task, wrong, "r.csv, line 2"),
      (error: unknown) =>
        error instanceof ActError &&
        /r\.csv, line 2: the label ".*" is none of negative, positive, nor a number from 0 to 1/.test(error.message),
    );
});

test("labels are written as the marks are; a label word that is a number is a word", () => {
  assert.equal(writesNumbers(task, ["1", 0], false), true);
  assert.equal(writesNumbers(task, ["1", "positive"], true), false);
  assert.equal(writesNumbers(task, [], true), true);
  const stars = { ...task, labelWords: [" 1", " 2"] };
  assert.equal(writesNumbers(stars, ["1"], true), false);
  assert.equal(labelOf(stars, "1", ""), 0);
});
