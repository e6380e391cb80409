// The golden vectors of test/oracle/vectors through the native op. An attention matrix A is fed as queries = log A over identity keys
// with scale 1, and identity values, so that attention's output is A itself and the op's output is the calibrated matrix.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { FLAG, type openBindings, packEntries, readState } from "./op.js";

const FOLDER = "test/oracle/vectors";
const TOLERANCE = 1e-6;

type Bindings = Awaited<ReturnType<typeof openBindings>>;

interface Block {
  size?: number;
  limit: number;
  exempt: number | null;
  sinks: number[];
  out: number[][];
}
interface Vector extends Block {
  kind: "matrix" | "blocks" | "padded";
  n: number;
  beta: number;
  A: number[][];
  blocks?: Block[];
  real?: number[];
}

export function goldenVectors(): string[] {
  const files = readdirSync(FOLDER).filter((name) => name.endsWith(".json"));
  assert.ok(files.length >= 30, `${FOLDER} holds ${files.length} vectors`);
  return files;
}

/** All blocks of one file; `tolerance` is absolute. @throws assertion errors */
export function runVector(bindings: Bindings, device: string, threads: number, file: string, tolerance = TOLERANCE): void {
  const vector = JSON.parse(readFileSync(`${FOLDER}/${file}`, "utf8")) as Vector;
  // Padding never reaches the op: padded tokens are no cells of the sequence. The real tokens alone are fed.
  const real = vector.real ? vector.real.flatMap((one, index) => (one ? [index] : [])) : vector.A.map((_, index) => index);
  const matrix = real.map((row) => real.map((column) => vector.A[row]?.[column] ?? 0));
  const blocks = vector.blocks ?? [vector];
  const n = real.length;
  let state = new Float32Array(2 * n + 2);
  let first = 0;
  for (const block of blocks) {
    const size = block.size ?? n;
    const result = runBlock(bindings, device, threads, matrix, first, size, block.limit, vector.beta, state);
    state = new Float32Array(result.state);
    const { exempt, sinks } = readState(state, 1, 0);
    assert.equal(exempt < 0 ? null : real[exempt], block.exempt, "exempt");
    assert.deepEqual(
      sinks.map((sink) => real[sink]),
      block.sinks,
      "sinks",
    );
    const total = first + size;
    for (let row = 0; row < size; row++)
      for (let column = 0; column < total; column++) {
        const wanted = vector.real ? block.out[real[row] ?? 0]?.[real[column] ?? 0] : block.out[row]?.[column];
        const got = result.o[row * n + column] ?? Number.NaN;
        assert.ok(Math.abs(got - (wanted ?? 0)) <= tolerance, `row ${first + row}, column ${column}: ${got}, not ${wanted}`);
      }
    first = total;
  }
}

function runBlock(
  bindings: Bindings,
  device: string,
  threads: number,
  A: number[][],
  first: number,
  size: number,
  limit: number,
  beta: number,
  state: Float32Array,
) {
  const n = A.length;
  const last = first + size - 1;
  const o = new Float32Array(size * n);
  const q = new Float32Array(size * n);
  const mask = new Float32Array(size * n).fill(Number.NEGATIVE_INFINITY);
  for (let row = 0; row < size; row++) {
    // the vectors' rows are rounded to 7 digits; what attention returns for these scores sums to 1
    const sum = (A[first + row] ?? []).reduce((total, value) => total + value, 0);
    for (let column = 0; column <= first + row; column++) {
      const value = A[first + row]?.[column] ?? 0;
      o[row * n + column] = value / sum;
      // exp(-200) is 0 in float32: a key without attention that the mask nevertheless shows
      q[row * n + column] = value > 0 ? Math.log(value) : -200;
      mask[row * n + column] = 0;
    }
  }
  const identity = Float32Array.from({ length: n * n }, (_, index) => (index % (n + 1) === 0 ? 1 : 0));
  const keysTable = Int32Array.from([
    ...Array.from({ length: n }, (_, key) => (key <= last ? key : -1)),
    ...Array.from({ length: n }, (_, key) => Math.max(0, last - key + 1)),
    ...Array.from({ length: n }, (_, key) => Math.max(0, last - Math.max(key, first) + 1)),
  ]);
  const entries = packEntries([{ stream: 0, head: 0, slot: 0, flags: first === 0 ? FLAG.fresh : 0, weight: beta, limit, row0: first }]);
  const result = bindings.actEvaluate({
    device,
    threads,
    rows: size,
    keys: n,
    streams: 1,
    heads: 1,
    kvHeads: 1,
    dk: n,
    dv: n,
    typeK: "f32",
    typeV: "f32",
    typeMask: "f16",
    transposedValues: false,
    scale: 1,
    maxBias: 0,
    softcap: 0,
    slots: 1,
    o,
    q,
    k: identity,
    v: identity,
    mask,
    keysTable,
    entries,
    state,
  });
  assert.ok(result, `${device} takes the op`);
  return result;
}
