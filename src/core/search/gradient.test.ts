import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { answerLoss, type LossOfLogits, textLoss } from "./gradient.js";

const VOCABULARY = 7;
const row = fc.array(fc.double({ min: -5, max: 5, noNaN: true }), { minLength: VOCABULARY, maxLength: VOCABULARY });

/** The derivative against central differences in every logit of every row. */
function derivativeHolds(rows: number[][], loss: (rows: Float32Array[]) => LossOfLogits): void {
  const floats = rows.map((own) => Float32Array.from(own));
  const { dLogits } = loss(floats);
  const eps = 1 / 64; // exact in float32
  floats.forEach((own, r) => {
    for (let id = 0; id < VOCABULARY; id++) {
      const at = own[id] as number;
      own[id] = at + eps;
      const more = loss(floats).loss;
      own[id] = at - eps;
      const less = loss(floats).loss;
      own[id] = at;
      assert.ok(Math.abs((more - less) / (2 * eps) - (dLogits[r * VOCABULARY + id] as number)) < 1e-3, `row ${r}, logit ${id}`);
    }
  });
}

test("cross entropy of the answers and its derivative; two answers may share a token", () => {
  fc.assert(
    fc.property(row, fc.constantFrom([1, 4], [0, 3, 6], [2, 2, 5]), fc.integer({ min: 0, max: 1 }), (logits, answers, label) =>
      derivativeHolds([logits], ([own]) => answerLoss(own as Float32Array, answers, label, "cross-entropy")),
    ),
  );
});

test("the margin is the best other answer minus the right one", () => {
  const { loss, dLogits } = answerLoss(Float32Array.from([1, 5, 3, 4]), [1, 2, 3], 0, "margin");
  assert.equal(loss, -1);
  assert.deepEqual([...dLogits], [0, -1, 0, 1]);
});

test("mean negative log-likelihood of a text and its derivative, weighted", () => {
  fc.assert(
    fc.property(
      fc.array(row, { minLength: 1, maxLength: 3 }),
      fc.array(fc.integer({ min: 0, max: VOCABULARY - 1 }), { minLength: 3, maxLength: 3 }),
      fc.constantFrom(1, -0.5),
      (rows, text, weight) => derivativeHolds(rows, (own) => textLoss(own, text.slice(0, rows.length), weight)),
    ),
  );
  assert.ok(Math.abs(textLoss([new Float32Array(4), new Float32Array(4)], [0, 3]).loss - Math.log(4)) < 1e-6);
});
