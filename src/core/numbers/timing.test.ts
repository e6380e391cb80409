import assert from "node:assert/strict";
import { test } from "node:test";
import { random } from "./random.js";
import { quantile, ratioOfMedians, spread } from "./timing.js";

test("quantiles", () => {
  assert.equal(quantile([3, 1, 2], 0.5), 2);
  assert.equal(quantile([1, 2, 3, 4], 0.5), 2.5);
  assert.equal(quantile([5], 0.95), 5);
});

test("the spread of a latency", () => {
  assert.deepEqual(spread([4, 2, 3, 1, 5]), { p50: 3, p95: 4.8, max: 5 });
  assert.ok(Number.isNaN(quantile([], 0.5)));
});

test("the ratio of medians, and an interval that holds the truth about as often as it says", () => {
  const next = random(3);
  let held = 0;
  const trials = 60;
  for (let trial = 0; trial < trials; trial++) {
    // The machine's mood of a round meets both arms; each has noise of its own.
    const moods = Array.from({ length: 15 }, () => 1 + next());
    const noise = () => 1 + 0.05 * (next() + next() + next() - 1.5);
    const { ratio, interval } = ratioOfMedians(
      moods.map((mood) => 90 * mood * noise()),
      moods.map((mood) => 100 * mood * noise()),
    );
    assert.ok(interval[0] <= ratio && ratio <= interval[1]);
    if (interval[0] <= 0.9 && 0.9 <= interval[1]) held++;
  }
  assert.ok(held / trials > 0.85, `the interval held the true ratio in ${held} of ${trials} trials`);
});
