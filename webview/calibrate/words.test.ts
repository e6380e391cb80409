import assert from "node:assert/strict";
import { test } from "node:test";
import { EVIDENCE } from "../../test/fixtures/evidence.js";
import { duration, evidenceRows, probability, signed } from "./words.js";

test("signs are signs, and nothing has none", () => {
  assert.equal(signed(0), "0");
  assert.equal(signed(-0.25), "−0.250");
});

test("times as people say them", () => {
  assert.deepEqual([0, 59.6, 89, 90, 3599, 4800].map(duration), ["0 s", "60 s", "89 s", "2 min", "1 h 0 min", "1 h 20 min"]);
});

test("p is never zero", () => {
  assert.equal(probability(0), "p < 0.001");
  assert.equal(probability(0.0421), "p = 0.042");
});

test("the arms of a confirmation: none, the chosen set, its rivals", () => {
  const rivals = [{ name: "random set", accuracy: 0.64, difference: -0.02, interval: [-0.05, 0.01] as [number, number] }];
  assert.deepEqual(evidenceRows({ heads: [[4, 7]] }, { ...EVIDENCE, rivals }), [
    { name: "No heads", heads: "0", score: 0.66, difference: null, interval: null },
    { name: "Chosen heads", heads: "1", score: 0.681, difference: 0.021, interval: [0.004, 0.038] },
    { name: "random set", heads: "", score: 0.64, difference: -0.02, interval: [-0.05, 0.01] },
  ]);
  assert.deepEqual(
    evidenceRows({ heads: [] }, { ...EVIDENCE, calibrated: 0.66, rivals }).map(({ name }) => name),
    ["No heads", "random set"],
  );
});
