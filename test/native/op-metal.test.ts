// The op's Metal kernels without a Mac: run on the CPU (test/native/metal) with their host code, they compute what float64 does. Nothing here
// says that they run on a Mac, or that Apple's compiler takes them.
import assert from "node:assert/strict";
import process from "node:process";
import { test } from "node:test";
import { buildContext } from "../../scripts/context.js";
import { checkDevices } from "../../src/engine/native/device-check.js";
import { noCpu, testOnCpu } from "./on-cpu.js";
import { type OpInput, type OpOutput, openBindings } from "./op.js";
import { buildHost, compileKernels, noClang } from "./support/metal.js";

const context = buildContext(process.cwd());
const withoutClang = await noClang();

test("the host compiles, with every kernel's text in it", { skip: noCpu }, async () => {
  const library = (await buildHost(context)).toString("latin1");
  for (const stage of ["scores", "scores_few", "sums", "select", "select_few", "correct", "correct_few"])
    assert.ok(library.includes(`kernel void kernel_act_${stage}(ACT_OPERANDS)`), stage);
});

for (const standard of ["c++14", "c++17"] as const)
  test(`every pointer of the kernels names its address space (${standard})`, { skip: withoutClang }, () =>
    compileKernels(context, standard),
  );

const kernels = testOnCpu("metal");

test("the engine's check at start-up passes the kernels and says what is wrong with others", { skip: noCpu }, async () => {
  const native = await openBindings();
  const check = (answer: (input: OpInput, right: OpOutput) => OpOutput | null, act = true) =>
    checkDevices({
      actDevices: () => [
        { name: "CPU", description: "a CPU", backend: "CPU", act: true },
        { name: "MTL0", description: "a Mac", backend: "MTL", act },
      ],
      actEvaluate: (input) => {
        if (input.device === "CPU") return native.actEvaluate(input);
        return answer(input, kernels.actEvaluate(input));
      },
    });
  const changed = (array: Float32Array, change: (copy: Float32Array) => void) => {
    const copy = array.slice();
    change(copy);
    return copy;
  };

  assert.equal(
    check((_, right) => right),
    null,
  );
  const wrong: [string, string | null][] = [
    ["on a Mac, with keys and values in f16, the attention of 40 rows differs", check(({ o }, { state }) => ({ o, state }))],
    [
      "on a Mac, with keys and values in f16, the attention of 1 rows differs",
      check(({ o, rows }, right) => (rows === 1 ? { ...right, o } : right)),
    ],
    ["differs from the CPU's by NaN", check((_, right) => ({ ...right, o: changed(right.o, (o) => o.fill(Number.NaN, 7, 8)) }))],
    ["the statistics of 40 rows differ", check(({ state }, { o }) => ({ o, state }))],
    ["other attention sinks", check((_, right) => ({ ...right, state: changed(right.state, (state) => state.fill(0, 64, 130)) }))],
    [
      "on a Mac it failed (the device could not run the op)",
      check(() => {
        throw new Error("the device could not run the op");
      }),
    ],
    [
      "with heads of 128 elements, the attention of 70 rows differs",
      check(({ o, dk, rows }, right) => (dk > 64 && rows > 64 ? { ...right, o } : right)),
    ],
    [
      "with heads of 256 elements, the attention of 4 rows differs",
      check(({ o, dk, rows }, right) => (dk > 128 && rows === 4 ? { ...right, o } : right)),
    ],
    ["it is refused", check(() => null)],
    ["with keys and values in q4_0, it is refused", check((input, right) => (input.typeV === "q4_0" ? null : right))],
    ["does not take the operation", check((_, right) => right, false)],
  ];
  for (const [sentence, said] of wrong) assert.ok(said?.includes(sentence), `${said}, not ${sentence}`);
});
