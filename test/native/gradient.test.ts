// The backward pass on float32 weights of the default model.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Slopes } from "../../src/core/search/gradient.js";
import type { NativeContext } from "../../src/engine/native/native.js";
import type { Turn } from "../../src/engine/queue.js";
import type { Model } from "../../src/engine/run/model.js";
import { type GradientItem, type Rule, withGradients } from "../../src/engine/search/gradient.js";
import { DEFAULT_MODEL, modelPath } from "../../src/store/models.js";
import { float32Model } from "./support/dequantise.js";
import { act, assertSame, compare, load, lossOf, never, quiet, slopesOf } from "./support/gradient-check.js";

const zeroTuning: Rule = { ...act, method: "zero-tuning" };

const quantised = process.env.ACT_MODEL || modelPath(DEFAULT_MODEL);
let model: Model;
let label: GradientItem;
let text: GradientItem;
before(async () => {
  model = await load(await float32Model(quantised));
  const prompt =
    "Classify the sentiment: 'positive' or 'negative'.\n\nSentence: a slow , clumsy mess that wastes two good actors \nSentiment: ";
  const answers = [" negative", " positive"].map((word) => model.native.tokenize(word, false).at(-1) as number);
  label = { tokens: model.encode(prompt), answers, label: 0 };
  text = {
    tokens: model.encode("def mean(values):\n    return"),
    answers: [],
    truth: model.native.tokenize(" sum(values) / len(values)\n\ndef variance(values):", false),
  };
});
after(async () => await model.dispose());

const off = () => model.eligibleHeads.map(() => 1);

test("labels, every head off", async () => assertSame(await compare(model, label, act, off()), 0.02));
test("a text, every head off", async () => assertSame(await compare(model, text, act, off()), 0.02));
test("ZeroTuning, every head off", async () => assertSame(await compare(model, label, zeroTuning, off()), 0.02));

// Other strengths move keys over the threshold in deeper layers, where the loss has steps; far from it none moves.
test("a beta for each head, on both sides of 1, below and above", async () => {
  const far: Rule = { ...act, threshold: { mode: "fixed", value: 0.2 } };
  const betas = off().map((_, i) => 0.7 + 0.6 * (((i * 7919) % 100) / 100));
  const { own, numeric } = await compare(model, text, far, betas);
  const scale = Math.max(...numeric.map(Math.abs));
  const close = own.filter((slope, i) => Math.abs(slope - (numeric[i] as number)) < 0.02 * Math.abs(numeric[i] as number) + 0.004 * scale);
  assert.ok(close.length >= own.length - 3, `${own.map((slope, i) => `${slope}|${numeric[i]}`).join("  ")}`);
});

test("a pair's gradient is the difference of its texts' gradients", async () => {
  assert.ok("truth" in text && text.truth);
  const bad = model.native.tokenize(" none of them", false);
  const [pair, good, other] = [
    await slopesOf(model, { tokens: text.tokens, good: text.truth, bad }, act, null),
    await slopesOf(model, text, act, null),
    await slopesOf(model, { ...text, truth: bad }, act, null),
  ];
  assert.ok(Math.abs(pair.loss - (good.loss - other.loss)) < 1e-4);
  pair.gradient.forEach((slope, i) => {
    assert.ok(Math.abs(slope - ((good.gradient[i] as number) - (other.gradient[i] as number))) < 1e-4);
  });
});

test("a request that comes in the way gives the pass up, and it is made again", async () => {
  let pauses = 0;
  const preempt = new AbortController();
  const turn: Turn = {
    ...quiet,
    pause: async () => {
      if (pauses++ === 0) setTimeout(() => preempt.abort(), 5);
    },
    get preempted() {
      return pauses === 1 ? preempt.signal : never;
    },
  };
  const again = await withGradients(model, [label], act, model.eligibleHeads, turn, async (scorer) => {
    for await (const { results } of scorer.gradient([0], null, never)) return results[0] as Slopes;
    throw new Error("no gradient");
  });
  assert.equal(pauses, 2);
  assert.deepEqual(again.gradient, (await slopesOf(model, label, act, null)).gradient);
});

test("without FlashAttention there is a sentence instead of a gradient", async () => {
  await model.withSegments({ segment: 128, flashAttention: "off" }, async (context) => {
    await context.withGradients(async () => {
      await lossOf(context, label, { ...act, heads: model.eligibleHeads, beta: 1 });
      await assert.rejects(context.backward(new Float32Array(model.info.vocabulary)), { code: "unsupported", message: /FlashAttention/ });
    });
  });
});

/** Logits after the label's prompt. */
async function logitsOf(context: NativeContext): Promise<Float32Array> {
  await lossOf(context, label, { ...act, heads: model.eligibleHeads, beta: 0.4 });
  return await context.logits(label.tokens.length - 1);
}

test("with exact products the quantised model computes what its float32 copy does; rounded activations are far from it", async () => {
  const difference = (a: Float32Array, b: Float32Array) => a.reduce((most, x, i) => Math.max(most, Math.abs(x - (b[i] as number))), 0);
  const float32 = await model.withSegments({ segment: 128 }, logitsOf);
  const small = await load(quantised);
  try {
    await small.withSegments({ segment: 128 }, async (context) => {
      const exact = await context.withExactProducts(() => logitsOf(context));
      assert.ok(difference(exact, float32) < 0.02, `exact: ${difference(exact, float32)}`);
      const rounded = await logitsOf(context);
      assert.ok(difference(rounded, float32) > 0.1, `rounded: ${difference(rounded, float32)}`);
    });
  } finally {
    await small.dispose();
  }
});
