// A GPU's kernels on the CPU (test/native/cuda, test/native/metal) behind the same face as a device: a program gets an op on its standard input
// (on-cpu/op.h reads it), and answers with o and the state.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import process from "node:process";
import { before, test } from "node:test";
import { buildContext } from "../../scripts/context.js";
import type { OpInput, OpOutput } from "./op.js";
import { opCases } from "./op-cases.js";
import { checkCase } from "./op-check.js";
import { buildForCpu } from "./support/on-cpu-build.js";
import { goldenVectors, runVector } from "./vectors.js";

export const noCpu = process.platform === "linux" ? false : `the kernels are run on a CPU on Linux only, not on ${process.platform}`;

const TYPES: Record<string, number> = { f32: 0, f16: 1, q4_0: 2, q8_0: 8 };

function run(program: string, input: OpInput): OpOutput {
  const { rows, keys, streams, heads, kvHeads, dk, dv, transposedValues, entries, slots, state } = input;
  const shape = [
    rows,
    keys,
    streams,
    heads,
    kvHeads,
    dk,
    dv,
    Number(transposedValues),
    Number(input.interleaved ?? false),
    entries.length / 8,
    slots,
    state.length / slots,
  ];
  const types = [input.typeK, input.typeV, input.typeMask].map((type) => TYPES[type] as number);
  const arrays = [input.o, input.q, input.k, input.v, input.mask, input.keysTable, entries, state];
  const bytes = (array: Float32Array | Int32Array) => Buffer.from(array.buffer, array.byteOffset, array.byteLength);
  const parts = arrays.flatMap((array) => [bytes(Int32Array.of(array.length)), bytes(array)]);
  const head = [bytes(Int32Array.from([...shape, ...types])), bytes(Float32Array.of(input.scale, input.maxBias, input.softcap))];
  const { status, stdout, stderr } = spawnSync(program, {
    input: Buffer.concat([...head, ...parts]),
    maxBuffer: 1 << 30,
    timeout: 120_000,
  });
  assert.equal(status, 0, stderr?.toString());
  const floats = new Float32Array(new Uint8Array(stdout).buffer);
  assert.equal(floats.length, input.o.length + state.length);
  return { o: floats.slice(0, input.o.length), state: floats.slice(input.o.length) };
}

/** Tests on the short cases and the golden vectors. @returns the bindings, once the tests run */
export function testOnCpu(kind: "cuda" | "metal"): { actEvaluate(input: OpInput): OpOutput } {
  let program = "";
  before(async () => {
    if (!noCpu) program = await buildForCpu(buildContext(process.cwd()), kind);
  });
  const bindings = {
    actEvaluate: (input: OpInput) => run(program, input),
    actDevices: () => [],
    actPatchSet: () => "",
  };
  const device = `${kind} kernels on the CPU`;

  for (const one of opCases().filter(({ short }) => short))
    test(`kernels on the CPU: ${one.name}`, { skip: noCpu }, (t) => {
      const errors = checkCase(bindings, device, 1, one);
      assert.ok(errors);
      t.diagnostic(
        `output off by ${errors.output.toFixed(3)} of the bound ${errors.bound.toExponential(1)}, sums by ${errors.sums.toFixed(3)} of theirs`,
      );
    });

  for (const file of goldenVectors()) test(`kernels on the CPU: ${file}`, { skip: noCpu }, () => runVector(bindings, device, 1, file));
  return bindings;
}
