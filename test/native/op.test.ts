// GGML_OP_ACT on the CPU against float64, over shapes.
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { openBindings } from "./op.js";
import { opCases } from "./op-cases.js";
import { checkCase } from "./op-check.js";

let bindings: Awaited<ReturnType<typeof openBindings>>;
before(async () => {
  bindings = await openBindings();
});

for (const one of opCases())
  test(one.name, (t) => {
    for (const threads of [1, 3]) {
      const errors = checkCase(bindings, "CPU", threads, one);
      assert.ok(errors, "the CPU takes every shape");
      t.diagnostic(
        `${threads} threads: output off by ${errors.output.toFixed(3)} of the bound ${errors.bound.toExponential(1)}, sums by ${errors.sums.toFixed(3)}`,
      );
    }
  });
