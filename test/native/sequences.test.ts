// Sequences side by side, and what happens to their statistics when cells are removed, copied and shifted: on the real model.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import fc from "fast-check";
import { Backend, type ContextOptions, type NativeContext, type NativeModel } from "../../src/engine/native/native.js";
import type { Calibration, Head } from "../../src/protocol/calibration.js";
import { DEFAULT_MODEL, modelPath } from "../../src/store/models.js";

let model: NativeModel;
const open: NativeContext[] = [];
before(async () => {
  const backend = await Backend.open("cpu", () => {});
  model = await backend.loadModel(process.env.ACT_MODEL || modelPath(DEFAULT_MODEL), undefined, () => {}, new AbortController().signal);
});
after(async () => {
  for (const context of open) await context.dispose();
  await model.dispose();
});

async function createContext(options: Partial<ContextOptions> = {}): Promise<NativeContext> {
  const context = await model.createContext({
    contextSize: 512,
    ubatch: 512,
    sequences: 1,
    threads: 2,
    flashAttention: "on",
    cacheType: "f16",
    ...options,
  });
  open.push(context);
  return context;
}

const TEXT = `The committee met on Tuesday. It heard three reports, asked about the budget, and closed at noon; nobody stayed for lunch.
Question: who stayed for lunch? Answer: nobody. Question: on which day did it meet? Answer:`;
const prompt = () => model.tokenize(TEXT, false);

const calibration = (heads: Head[], more: Partial<Calibration> = {}): Calibration => ({
  method: "act",
  heads,
  beta: 0.4,
  threshold: { mode: "fixed", value: 0.1 },
  statistics: "running",
  ...more,
});
const layerHeads = (...layers: number[]): Head[] => layers.flatMap((layer) => Array.from({ length: 9 }, (_, head): Head => [layer, head]));
const ALL = layerHeads(...Array.from({ length: 27 }, (_, i) => i + 2));

/** Feeds tokens behind the `start` cells of a sequence; answers the last logits. */
async function feed(context: NativeContext, tokens: number[], start = 0, sequence = 0): Promise<Float32Array> {
  const n = tokens.length;
  const outputs = new Uint8Array(n);
  outputs[n - 1] = 1;
  const positions = Int32Array.from(tokens, (_, i) => start + i);
  assert.ok(await context.decode({ tokens: Int32Array.from(tokens), positions, sequences: new Int32Array(n).fill(sequence), outputs }));
  return await context.logits(n - 1);
}

async function fresh(context: NativeContext, tokens: number[], given: Calibration | null, sequence = 0): Promise<Float32Array> {
  context.removeCells(sequence, -1);
  context.setCalibration(sequence, given);
  context.beginPrefill(sequence);
  return await feed(context, tokens, 0, sequence);
}

function largest(a: Float32Array, b: Float32Array): number {
  let difference = 0;
  for (let i = 0; i < a.length; i++) difference = Math.max(difference, Math.abs((a[i] ?? 0) - (b[i] ?? Number.NaN)));
  return difference;
}
const same = (a: Float32Array, b: Float32Array) => assert.deepEqual(Buffer.from(a.buffer), Buffer.from(b.buffer));

test("calibration of all heads changes the logits, and off changes them back, bit by bit", async () => {
  const context = await createContext();
  const off = await fresh(context, prompt(), null);
  const on = await fresh(context, prompt(), calibration(ALL));
  assert.ok(largest(off, on) > 0.5, `calibrated logits differ by ${largest(off, on)} only`);
  same(await fresh(context, prompt(), null), off);
});

for (const flashAttention of ["on", "off"] as const)
  test(`heads without a second sink, and beta 1, change no bit (FlashAttention ${flashAttention})`, async () => {
    const context = await createContext({ flashAttention });
    const off = await fresh(context, prompt(), null);
    await fresh(context, prompt(), calibration(ALL));
    const idle = context.sinks(0).filter((head) => head.positions.length === 0);
    assert.ok(idle.length > 20, `${idle.length} heads have no second sink`);
    // below the first head that calibrates, every head still sees what it saw here
    const firstLive = context.sinks(0).find((head) => head.positions.length > 0)?.layer ?? 0;
    const heads = idle.filter((head) => head.layer <= firstLive).map(({ layer, head }): Head => [layer, head]);
    assert.ok(heads.length > 0);
    same(await fresh(context, prompt(), calibration(heads)), off);
    assert.ok(context.sinks(0).every((head) => head.positions.length === 0));
    same(await fresh(context, prompt(), calibration(ALL, { beta: 1 })), off);
    same(await fresh(context, prompt(), calibration(ALL, { threshold: { mode: "fixed", value: 2 } })), off);
  });

for (const flashAttention of ["on", "off"] as const)
  test(`eight sequences with eight head sets in one batch give what eight single runs give (FlashAttention ${flashAttention})`, async () => {
    const tokens = prompt();
    const sets = [null, calibration(ALL), ...[4, 9, 13, 17, 21, 26].map((layer) => calibration(layerHeads(layer, layer + 1)))];
    const single = await createContext({ flashAttention });
    const wanted: Float32Array[] = [];
    for (const set of sets) wanted.push(await fresh(single, tokens, set));

    const batch = await createContext({ flashAttention, sequences: 8, ubatch: 8 * tokens.length });
    const n = tokens.length;
    for (let round = 0; round < 2; round++) {
      for (const [sequence, set] of sets.entries()) {
        batch.removeCells(sequence, -1);
        batch.setCalibration(sequence, set);
        batch.beginPrefill(sequence);
      }
      const outputs = new Uint8Array(8 * n);
      for (let s = 0; s < 8; s++) outputs[(s + 1) * n - 1] = 1;
      const index = Array.from({ length: 8 * n }, (_, i) => i);
      const done = await batch.decode({
        tokens: Int32Array.from(index, (i) => tokens[i % n] ?? 0),
        positions: Int32Array.from(index, (i) => i % n),
        sequences: Int32Array.from(index, (i) => Math.floor(i / n)),
        outputs,
      });
      assert.ok(done);
      for (const [sequence, logits] of wanted.entries()) {
        const got = await batch.logits((sequence + 1) * n - 1);
        // Not bit by bit: matrix products over 8 n rows may be split otherwise than over n rows.
        const difference = largest(got, logits);
        assert.ok(difference < 2e-2, `round ${round}, sequence ${sequence}: logits differ by ${difference}`);
        if (sequence > 0) assert.ok(largest(got, wanted[0] ?? got) > 10 * difference, "the sets differ by far more than the runs");
      }
    }
  });

test("thread counts change nothing beyond rounding", async () => {
  const one = await fresh(await createContext({ threads: 1 }), prompt(), calibration(ALL));
  const three = await fresh(await createContext({ threads: 3 }), prompt(), calibration(ALL));
  assert.ok(largest(one, three) < 1e-3, `${largest(one, three)}`);
});

test("the last ubatch sees the same sinks whatever the ubatch size", async () => {
  const tokens = prompt();
  const whole = await createContext();
  await fresh(
    whole,
    tokens,
    calibration([
      [2, 0],
      [2, 5],
    ]),
  );
  const wanted = whole.sinks(0);
  for (const size of [16, 31]) {
    const context = await createContext();
    context.setCalibration(
      0,
      calibration([
        [2, 0],
        [2, 5],
      ]),
    );
    for (let at = 0; at < tokens.length; at += size) await feed(context, tokens.slice(at, at + size), at);
    assert.deepEqual(context.sinks(0), wanted);
  }
});

test("removing, copying and shifting sequences leaks no statistics", async () => {
  const context = await createContext({ sequences: 3, contextSize: 256 });
  const control = await createContext({ contextSize: 256 });
  const words = prompt();
  const given = calibration(layerHeads(3, 8, 15, 22));
  const operation = fc.oneof(
    fc.record({ kind: fc.constant("fill" as const), sequence: fc.nat(2), length: fc.integer({ min: 1, max: 40 }) }),
    fc.record({ kind: fc.constant("remove" as const), sequence: fc.nat(2), length: fc.nat(30) }),
    fc.record({ kind: fc.constant("copy" as const), sequence: fc.nat(2), length: fc.nat(2) }),
    fc.record({ kind: fc.constant("shift" as const), sequence: fc.nat(2), length: fc.integer({ min: 1, max: 8 }) }),
    fc.record({ kind: fc.constant("abort" as const), sequence: fc.nat(2), length: fc.integer({ min: 8, max: 40 }) }),
  );
  const probe = words.slice(0, 24);
  const wanted = await fresh(control, probe, given);
  const wantedSinks = control.sinks(0);
  const next = await feed(control, words.slice(30, 31), probe.length);

  await fc.assert(
    fc.asyncProperty(fc.array(operation, { minLength: 3, maxLength: 7 }), fc.nat(2), async (operations, target) => {
      const lengths = [0, 0, 0];
      for (let s = 0; s < 3; s++) {
        context.removeCells(s, -1);
        context.setCalibration(s, given);
      }
      for (const { kind, sequence, length } of operations) {
        const held = lengths[sequence] ?? 0;
        if (kind === "fill" && held + length < 200) {
          await feed(context, words.slice(0, length), held, sequence);
          lengths[sequence] = held + length;
        } else if (kind === "remove" && held > length) {
          context.removeCells(sequence, held - length);
          lengths[sequence] = held - length;
        } else if (kind === "copy" && length !== sequence && held > 0) {
          context.removeCells(length, -1);
          await context.copySequence(length, sequence);
          lengths[length] = held;
        } else if (kind === "shift" && held > length + 1) {
          context.removeCells(sequence, 0, length);
          context.shiftCells(sequence, length, -1, -length);
          lengths[sequence] = held - length;
        } else if (kind === "abort" && held + length < 200) {
          const abort = new AbortController();
          const n = length;
          const positions = Int32Array.from({ length: n }, (_, i) => held + i);
          const work = context.decode(
            {
              tokens: Int32Array.from(words.slice(0, n)),
              positions,
              sequences: new Int32Array(n).fill(sequence),
              outputs: new Uint8Array(n),
            },
            abort.signal,
          );
          abort.abort();
          await work;
          context.removeCells(sequence, held);
        }
      }
      // a fresh run in cells that all of this has used
      context.removeCells(target, -1);
      context.beginPrefill(target);
      const got = await feed(context, probe, 0, target);
      assert.ok(largest(got, wanted) < 1e-3, `prefill differs by ${largest(got, wanted)}`);
      assert.deepEqual(context.sinks(target), wantedSinks);
      const after = await feed(context, words.slice(30, 31), probe.length, target);
      assert.ok(largest(after, next) < 1e-3, `decode differs by ${largest(after, next)}`);
    }),
    { numRuns: 25 },
  );
});

test("extra memory follows the tokens that were seen, not the context and not the square of the length", async () => {
  const context = await createContext({ contextSize: 2048, ubatch: 1024 });
  const long = Array.from({ length: 1000 }, (_, i) => prompt()[i % prompt().length] as number);
  const sizes: number[] = [];
  for (const tokens of [200, 1000]) {
    await fresh(context, long.slice(0, tokens), calibration(ALL));
    sizes.push(context.calibrationBytes);
  }
  const [first = 0, second = 0] = sizes;
  assert.ok(first > 0 && second / first > 3.5 && second / first < 4.5, `${first} and ${second} bytes`);
});

test("native code refuses what is not there", async () => {
  const context = await createContext();
  assert.throws(() => context.setCalibration(0, calibration([[30, 0]])), /no head \(30, 0\)/);
  assert.throws(() => context.setCalibration(1, calibration([[3, 0]])), /no sequence 1/);
  assert.throws(() => context.setCalibration(0, calibration([[3, 0]], { beta: Number.NaN })), /finite/);
});
