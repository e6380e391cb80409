import assert from "node:assert/strict";
import { test } from "node:test";
import { auc, compareAuc } from "./auc.js";
import { normal, random } from "./random.js";

test("all right, all wrong, ties, and a shift that changes nothing", () => {
  const positive = [false, false, true, true];
  assert.equal(auc([1, 2, 3, 4], positive), 1);
  assert.equal(auc([4, 3, 2, 1], positive), 0);
  assert.equal(auc([1, 1, 1, 1], positive), 0.5);
  assert.equal(auc([1, 3, 2, 4], positive), 0.75);
  assert.equal(auc([101, 103, 102, 104], positive), 0.75);
  assert.ok(Number.isNaN(auc([1, 2], [true, true])));
});

test("the interval of two useless scores holds zero in about 95 of 100 draws", () => {
  const rng = random(5);
  let held = 0;
  for (let draw = 0; draw < 300; draw++) {
    const positive = Array.from({ length: 80 }, () => rng() < 0.5);
    const truth = positive.map((one) => (one ? 1 : 0) + normal(rng));
    const { interval } = compareAuc(
      truth.map((x) => x + normal(rng)),
      truth.map((x) => x + normal(rng)),
      positive,
    );
    if (interval[0] <= 0 && interval[1] >= 0) held++;
  }
  assert.ok(held / 300 > 0.91 && held / 300 < 0.99, `${held}`);
});

test("with one prompt of a label nothing is claimed", () => {
  assert.deepEqual(compareAuc([1, 2, 3], [3, 2, 1], [true, false, false]).interval, [-1, 1]);
});
