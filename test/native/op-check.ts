import assert from "node:assert/strict";
import { derivedSeed } from "../../src/core/numbers/random.js";
import { type openBindings, readState } from "./op.js";
import type { Case } from "./op-cases.js";
import { type Shape, World } from "./op-world.js";

type Bindings = Awaited<ReturnType<typeof openBindings>>;

/** Largest errors of a case, in units of its bounds. */
export interface Errors {
  output: number;
  sums: number;
  bound: number;
}

/**
 * Runs all calls of a case and compares each with float64. The bounds: a float32 dot product of d terms that comes to s is off by about
 * |s| * sqrt(d)/2 * 2^-23, its difference to the log-sum-exp by twice |s| * 2^-23, and an exponential by a few units in the last place (on GPUs
 * 3 + 2|s|); together that is a probability's relative error. Attention's output, itself rounded, is multiplied by up to the largest gain;
 * values are at most 2. Where the rest is summed key by key, n additions may lose n/2 * 2^-24 of it.
 * @throws assertion errors that name the entry; sinks must be equal, heads that are not calibrated must not change by a bit.
 */
export function checkCase(bindings: Bindings, device: string, threads: number, { name, shape }: Case): Errors | null {
  const world = new World(shape, derivedSeed(1, name));
  let state = world.dirtyState();
  const errors: Errors = { output: 0, sums: 0, bound: 0 };
  for (const rows of shape.rows) {
    const { input, expected } = world.next(device, threads, state);
    const before = state;
    const result = bindings.actEvaluate(input);
    if (result === null) return null;
    const relative = (expected.largestScore * (2 + Math.sqrt(shape.dk) / 2) + 16) * 2 ** -23;
    const bound = 2 * (relative * expected.largestGain + (expected.direct ? shape.keys * 2 ** -25 : 0));
    errors.bound = Math.max(errors.bound, bound);
    for (const entry of expected.entries) {
      const { sums, exempt, sinks } = readState(result.state, input.slots, entry.slot);
      assert.deepEqual({ exempt, sinks }, { exempt: entry.exempt, sinks: entry.sinks }, `entry ${entry.slot}, call of ${rows} rows`);
      const old = readState(before, input.slots, entry.slot).sums;
      for (let cell = 0; cell < sums.length; cell++) {
        const got = sums[cell] as number;
        if (shape.rule === "initial") {
          assert.equal(got, old[cell], "ZeroTuning keeps no sums");
          continue;
        }
        const wanted = entry.sums[cell] ?? 0;
        const error = Math.abs(got - wanted) / (relative * Math.max(1, wanted));
        assert.ok(error <= 1, `entry ${entry.slot}, cell ${cell}: sum ${got}, not ${wanted}`);
        errors.sums = Math.max(errors.sums, error);
      }
    }
    compareOutput(shape, rows, input.entries, input.o, result.o, expected.o, expected.entries, bound, errors);
    state = new Float32Array(result.state);
  }
  return errors;
}

function compareOutput(
  shape: Shape,
  rows: number,
  packed: Int32Array,
  before: Float32Array,
  got: Float32Array,
  wanted: Float64Array,
  entries: { calibrates: boolean }[],
  bound: number,
  errors: Errors,
): void {
  const calibrating = new Set<number>();
  entries.forEach(({ calibrates }, i) => {
    if (calibrates) calibrating.add((packed[i * 8] as number) * shape.heads + (packed[i * 8 + 1] as number));
  });
  for (let i = 0; i < got.length; i++) {
    const head = Math.floor(i / shape.dv) % shape.heads;
    const row = Math.floor(i / (shape.dv * shape.heads)) % rows;
    const stream = Math.floor(i / (shape.dv * shape.heads * rows));
    const where = () => `stream ${stream}, row ${row}, head ${head}, value ${i % shape.dv}: ${got[i]}, not ${wanted[i]}`;
    if (!calibrating.has(stream * shape.heads + head)) {
      if (!Object.is(got[i], before[i])) assert.fail(`${where()} (an uncalibrated head)`);
      continue;
    }
    const error = Math.abs((got[i] as number) - (wanted[i] as number)) / bound;
    if (!(error <= 1)) assert.fail(`${where()} (bound ${bound})`);
    errors.output = Math.max(errors.output, error);
  }
}
