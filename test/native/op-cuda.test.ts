// The op's CUDA kernels without a GPU: they compile for every architecture, and run on the CPU (test/native/cuda) they compute what float64
// does. Nothing here says that they run on a GPU.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { before, test } from "node:test";
import { buildContext } from "../../src/build/context.js";
import { ARCHITECTURES, buildKernelsForCpu, compileCuda, ensureNvcc } from "../../src/build/cuda.js";
import type { OpInput, OpOutput } from "./op.js";
import { opCases } from "./op-cases.js";
import { checkCase } from "./op-check.js";
import { goldenVectors, runVector } from "./vectors.js";

const context = buildContext(process.cwd());
const noCompiler = await ensureNvcc(context).then(
  () => false as const,
  (error: Error) => error.message,
);

for (const architecture of ARCHITECTURES)
  test(`compiles for sm_${architecture}`, { skip: noCompiler }, () => compileCuda(context, architecture));

const noCpu = process.platform === "linux" ? false : `the kernels are run on a CPU on Linux only, not on ${process.platform}`;
let program = "";
before(async () => {
  if (!noCpu) program = await buildKernelsForCpu(context);
});

const TYPES: Record<string, number> = { f32: 0, f16: 1, q4_0: 2, q8_0: 8 };

/** The kernels on the CPU, behind the same face as a device. */
const onCpu = {
  actEvaluate(input: OpInput): OpOutput {
    const { rows, keys, streams, heads, kvHeads, dk, dv, transposedValues, entries, slots, state } = input;
    const shape = [rows, keys, streams, heads, kvHeads, dk, dv, Number(transposedValues), entries.length / 8, slots, state.length / slots];
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
  },
  actDevices: () => [],
  actPatchSet: () => "",
};

for (const one of opCases().filter(({ short }) => short))
  test(`kernels on the CPU: ${one.name}`, { skip: noCpu }, (t) => {
    const errors = checkCase(onCpu, "CUDA kernels on the CPU", 1, one);
    assert.ok(errors);
    t.diagnostic(
      `output off by ${errors.output.toFixed(3)} of the bound ${errors.bound.toExponential(1)}, sums by ${errors.sums.toFixed(3)} of theirs`,
    );
  });

for (const file of goldenVectors())
  test(`kernels on the CPU: ${file}`, { skip: noCpu }, () => runVector(onCpu, "CUDA kernels on the CPU", 1, file));
