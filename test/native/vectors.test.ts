// The golden vectors on the CPU.
import { before, test } from "node:test";
import { openBindings } from "./op.js";
import { goldenVectors, runVector } from "./vectors.js";

let bindings: Awaited<ReturnType<typeof openBindings>>;
before(async () => {
  bindings = await openBindings();
});

for (const file of goldenVectors())
  for (const threads of [1, 2, 5]) test(`${file}, ${threads} threads`, () => runVector(bindings, "CPU", threads, file));
