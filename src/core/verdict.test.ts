import assert from "node:assert/strict";
import { test } from "node:test";
import { EVIDENCE } from "../../test/fixtures/evidence.js";
import type { Evidence } from "../protocol/calibration.js";
import { gain, nameOf, plain, signedTenth, unitOf } from "./verdict.js";

const CODE: Evidence = {
  ...EVIDENCE,
  task: "the files of shop",
  metric: "log-likelihood",
  baseline: -1.2,
  difference: 0.012,
  interval: [0.006, 0.02],
};
const entry = { heads: [[4, 7]] as [number, number][], use: "task" as const };

test("a gain always has its interval and n, and no nats", () => {
  assert.equal(gain(EVIDENCE), "+2.1 points (95 % +0.4 to +3.8, n = 300)");
  assert.equal(gain(CODE), "+1.2 % more likely (95 % +0.6 to +2.0, n = 300)");
  assert.equal(unitOf(CODE).score(-1.2), "30.1 %");
});

test("a colleague understands the verdict", () => {
  const big = { ...EVIDENCE, difference: 0.127, interval: [0.073, 0.18] as [number, number] };
  assert.equal(
    plain({ ...entry, standing: "helps", evidence: big }),
    "It helps on sst2: 13 more of 100 answers are right. That is sure (between +7.3 and +18).",
  );
  assert.equal(
    plain({ ...entry, use: "completions", standing: "helps", evidence: CODE }),
    "It helps on the files of shop: the right next token is 1.2 % more likely. That is sure (between +0.6 and +2).",
  );
  const none = { ...EVIDENCE, difference: 0.003, interval: [-0.021, 0.026] as [number, number] };
  assert.equal(
    plain({ ...entry, standing: "does-not-help", evidence: none }),
    "It is not known to help on sst2: 0.3 more of 100 answers are right, and that may be chance (between −2.1 and +2.6).",
  );
  const worse = { ...EVIDENCE, difference: -0.05, interval: [-0.08, -0.02] as [number, number] };
  assert.match(plain({ ...entry, standing: "harms", evidence: worse }), /It harms .* 5 fewer of 100 answers .* sure/);
  assert.match(plain({ ...entry, standing: "no-evidence", evidence: null }), /Nothing was measured about this set/);
  assert.match(plain({ ...entry, heads: [], standing: "does-not-help", evidence: EVIDENCE }), /No set of heads did better than none/);
  assert.match(plain({ ...entry, standing: "does-not-help", evidence: EVIDENCE }), /only moves the model's guesses/);
});

test("a set is called by what it was measured on and what it brought", () => {
  assert.equal(nameOf("sst2", EVIDENCE), "sst2, +2.1 points");
  assert.equal(nameOf("shop", CODE), "shop, +1.2 % more likely");
});

test("what rounds to nothing has no sign", () => {
  assert.equal(signedTenth(-2.14), "−2.1");
  assert.equal(signedTenth(0.02), "0.0");
});
