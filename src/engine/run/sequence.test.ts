import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Calibration } from "../../protocol/calibration.js";
import type { DecodeBatch, NativeContext } from "../native/native.js";
import { calibrationKey, reusable, Sequence } from "./sequence.js";

const signal = new AbortController().signal;
const on: Calibration = {
  method: "act",
  heads: [
    [2, 1],
    [3, 0],
  ],
  beta: 0.4,
  threshold: { mode: "fixed", value: 0.1 },
  statistics: "running",
};

/** A context that keeps what native code would: the cells of one sequence, each with the calibration it was filled under. */
class FakeContext {
  options = { ubatch: 16 };
  cells: { token: number; calibration: string }[] = [];
  calibration = "";
  prefills: number[] = [];
  evaluated = 0;
  failAt = Number.POSITIVE_INFINITY;
  recurrent = false;

  setCalibration(_: number, calibration: Calibration | null) {
    this.calibration = calibrationKey(calibration);
  }
  beginPrefill() {
    this.prefills.push(this.cells.length);
  }
  removeCells(_: number, start: number): boolean {
    if (this.recurrent && start > 0 && start < this.cells.length) return false;
    this.cells = start <= 0 ? [] : this.cells.slice(0, start);
    return true;
  }
  async decode({ tokens, positions }: DecodeBatch): Promise<boolean> {
    assert.ok(tokens.length <= this.options.ubatch);
    assert.equal(positions[0], this.cells.length, "the cells have a gap");
    this.evaluated += tokens.length;
    for (const token of tokens) this.cells.push({ token, calibration: this.calibration });
    return this.cells.length < this.failAt;
  }
}
const make = () => {
  const fake = new FakeContext();
  return { fake, sequence: new Sequence(fake as unknown as NativeContext, 0) };
};
const count = (n: number, from = 0) => Array.from({ length: n }, (_, i) => from + i);

test("equal calibrations have equal keys, whatever the order of their heads; an empty set is off", () => {
  assert.equal(
    calibrationKey(on),
    calibrationKey({
      ...on,
      heads: [
        [3, 0],
        [2, 1],
      ],
    }),
  );
  assert.notEqual(calibrationKey(on), calibrationKey({ ...on, beta: 0.5 }));
  assert.notEqual(calibrationKey({ ...on, betas: [0.2, 1] }), calibrationKey({ ...on, betas: [1, 0.2] }));
  assert.notEqual(calibrationKey(on), calibrationKey({ ...on, threshold: { mode: "relative", value: 0.1 } }));
  assert.equal(calibrationKey({ ...on, heads: [] }), calibrationKey(null));
});

test("what can be taken over: never the last token, and with calibration never the last 64", () => {
  assert.equal(reusable(count(100), count(100), false), 99);
  assert.equal(reusable(count(100), count(100), true), 36);
  assert.equal(reusable(count(10), count(10), true), 0);
  assert.equal(reusable(count(5), count(10, 1), false), 0);
});

test("a prefix is taken over, under the same calibration only", async () => {
  const { fake, sequence } = make();
  assert.deepEqual(await sequence.prefill(count(40), null, signal), { reused: 0, output: 7 });
  assert.equal((await sequence.prefill(count(50), null, signal)).reused, 40);
  assert.equal((await sequence.prefill(count(50), on, signal)).reused, 0);
  assert.equal((await sequence.prefill(count(50), null, signal)).reused, 0);
  assert.equal(fake.cells.length, 50);
});

test("an aborted prefill leaves the ubatches that were complete, and the next one goes on from them", async () => {
  const { fake, sequence } = make();
  fake.failAt = 40;
  await assert.rejects(sequence.prefill(count(100), null, signal), { code: "cancelled" });
  assert.equal(fake.cells.length, 32);
  fake.failAt = Number.POSITIVE_INFINITY;
  assert.equal((await sequence.prefill(count(100), null, signal)).reused, 32);
});

test("a state that cannot be cut starts over", async () => {
  const { fake, sequence } = make();
  fake.recurrent = true;
  await sequence.prefill(count(40), null, signal);
  assert.equal((await sequence.prefill([...count(20), 99], null, signal)).reused, 0);
  assert.deepEqual(
    fake.cells.map(({ token }) => token),
    [...count(20), 99],
  );
});

test("property: after any requests the cells hold exactly the prompt, all under its calibration", async () => {
  const request = fc.record({
    prompt: fc.array(fc.constantFrom(1, 2), { minLength: 1, maxLength: 120 }),
    calibration: fc.constantFrom(null, on, { ...on, beta: 0.9 }),
    steps: fc.nat(5),
    failAfter: fc.option(fc.nat(100), { nil: Number.POSITIVE_INFINITY }),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(request, { maxLength: 8 }), async (requests) => {
      const { fake, sequence } = make();
      for (const { prompt, calibration, steps, failAfter } of requests) {
        fake.failAt = failAfter;
        try {
          const { reused } = await sequence.prefill(prompt, calibration, signal);
          if (calibration) assert.ok(prompt.length - reused >= Math.min(64, prompt.length));
          assert.equal(fake.prefills.at(-1), reused);
          for (let step = 0; step < steps; step++) await sequence.step(7, signal);
        } catch (error) {
          assert.equal((error as { code: string }).code, "cancelled");
          assert.equal(sequence.length, fake.cells.length);
          continue;
        }
        assert.deepEqual(
          fake.cells.map(({ token }) => token),
          [...prompt, ...new Array(steps).fill(7)],
        );
        assert.ok(fake.cells.every((cell) => cell.calibration === calibrationKey(calibration)));
      }
    }),
  );
});
