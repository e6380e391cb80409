// The backward pass of other architectures' graphs, on small models with random weights.
import assert from "node:assert/strict";
import path from "node:path";
import { test } from "node:test";
import type { GradientItem, Rule } from "../../src/engine/search/gradient.js";
import { dequantiseGguf } from "./support/dequantise.js";
import { act, assertSame, compare, load, slopesOf } from "./support/gradient-check.js";
import { ARCHITECTURES, randomModel } from "./support/random-model.js";

/** Attention of random weights is spread: at this limit a third of the keys are sinks. */
const rule: Rule = { ...act, threshold: { mode: "fixed", value: 0.06 } };
const token = (i: number) => 259 + ((i * 31) % 40);
const item: GradientItem = {
  tokens: Array.from({ length: 24 }, (_, i) => token(i * i)),
  answers: [],
  truth: Array.from({ length: 8 }, (_, i) => token(i + 5)),
};

for (const name of Object.keys(ARCHITECTURES).filter((one) => one !== "llama packed"))
  test(name, async () => {
    const model = await load(randomModel(name));
    try {
      const compared = await compare(
        model,
        item,
        rule,
        model.eligibleHeads.map(() => 1),
      );
      assert.ok(compared.numeric.filter((slope) => Math.abs(slope) > 1e-4).length > 4, `${compared.numeric}`);
      assertSame(compared, 0.03);
    } finally {
      await model.dispose();
    }
  });

test("weights that llama.cpp packed for its own products are read from the file", async () => {
  const file = randomModel("llama packed");
  const copy = path.join(path.dirname(file), "copy.gguf");
  await dequantiseGguf(file, copy);
  const gradients = [];
  for (const one of [file, copy]) {
    const model = await load(one);
    gradients.push((await slopesOf(model, item, rule, null)).gradient);
    await model.dispose();
  }
  const [packed, float32] = gradients as [Float32Array, Float32Array];
  // Products with packed weights round activations to 8 bits, by which a key may cross the limit.
  const close = [...packed].filter((slope, i) => Math.abs(slope - (float32[i] as number)) < 0.1 * Math.abs(float32[i] as number) + 0.002);
  assert.ok(close.length >= packed.length - 2, `${packed} | ${float32}`);
});
