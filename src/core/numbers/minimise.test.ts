import assert from "node:assert/strict";
import { test } from "node:test";
import { fitLogistic } from "./logistic.js";
import { minimise } from "./minimise.js";

test("a badly scaled bowl", async () => {
  const scales = Float64Array.from({ length: 20 }, (_, i) => 10 ** (i / 5));
  const found = await minimise(
    (x, gradient) => {
      let value = 0;
      x.forEach((entry, i) => {
        const scale = scales[i] as number;
        value += (scale * (entry - i) ** 2) / 2;
        gradient[i] = scale * (entry - i);
      });
      return value;
    },
    new Float64Array(20),
    { steps: 500 },
  );
  for (const [i, entry] of found.entries()) assert.ok(Math.abs(entry - i) < 1e-3, `${i}: ${entry}`);
});

test("logistic regression finds the log odds", async () => {
  // One feature that is 1 for half of the rows: of those, 3 of 4 are class 1; of the others, 1 of 4.
  const features = [1, 1, 1, 1, 0, 0, 0, 0].map((value) => Float64Array.of(value));
  const classify = await fitLogistic({ features, labels: [1, 1, 1, 0, 1, 0, 0, 0], classes: 2 }, 1e-7);
  assert.ok(Math.abs((classify(Float64Array.of(1))[1] as number) - 0.75) < 1e-2);
  assert.ok(Math.abs((classify(Float64Array.of(0))[1] as number) - 0.25) < 1e-2);
});
