// GGML_OP_ACT on a Vulkan device against float64: the shapes that a software device computes in a moment, and the golden vectors.
import assert from "node:assert/strict";
import { before, test } from "node:test";
import type { openBindings } from "./op.js";
import { opCases } from "./op-cases.js";
import { checkCase } from "./op-check.js";
import { goldenVectors, runVector } from "./vectors.js";
import { noVulkan, openVulkan, VULKAN_DEVICE } from "./vulkan.js";

let bindings: Awaited<ReturnType<typeof openBindings>>;
before(async () => {
  if (!noVulkan) bindings = await openVulkan();
});

for (const one of opCases().filter(({ short }) => short))
  test(one.name, { skip: noVulkan }, (t) => {
    const errors = checkCase(bindings, VULKAN_DEVICE, 1, one);
    assert.ok(errors, "the device takes every shape");
    t.diagnostic(
      `output off by ${errors.output.toFixed(3)} of the bound ${errors.bound.toExponential(1)}, sums by ${errors.sums.toFixed(3)} of theirs`,
    );
  });

for (const file of goldenVectors()) test(file, { skip: noVulkan }, () => runVector(bindings, VULKAN_DEVICE, 1, file));
