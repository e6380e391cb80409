// The backward pass against central differences of the real loss, whose forward pass shares no code with it: float32 weights and cache, attention
// without FlashAttention.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type Slopes, textLoss } from "../../src/core/search/gradient.js";
import { Backends } from "../../src/engine/native/backends.js";
import type { NativeContext } from "../../src/engine/native/native.js";
import { preflight } from "../../src/engine/native/preflight.js";
import type { Turn } from "../../src/engine/queue.js";
import { Model } from "../../src/engine/run/model.js";
import { type EngineGradients, type GradientItem, type Rule, withGradients } from "../../src/engine/search/gradient.js";
import { answerOutcome } from "../../src/engine/search/scorer.js";
import type { Calibration, Head } from "../../src/protocol/calibration.js";
import { DEFAULT_MODEL, modelPath } from "../../src/store/models.js";
import { float32Model } from "./support/dequantise.js";

const never = new AbortController().signal;
const quiet: Turn = { signal: never, waited: 0, pause: async () => {}, rest: async () => {}, during: (other) => other, preempted: never };
const act: Rule = { method: "act", threshold: { mode: "fixed", value: 0.1 }, statistics: "running" };
const zeroTuning: Rule = { ...act, method: "zero-tuning" };
const STEP = 0.05;

const backends = new Backends(() => {});
async function load(path: string): Promise<Model> {
  const { header } = await preflight(path);
  const { backend, reason } = await backends.choose("cpu");
  const file = { sha256: "unused", bytes: 6e8, shape: header, trainContext: header.trainContext, backendReason: reason };
  return await Model.load(backend, { path, sequences: 0, threads: 2 }, file, () => {}, never);
}

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

async function slopesOf(item: GradientItem, rule: Rule, betas: readonly number[] | null): Promise<Slopes> {
  return await withGradients(model, [item], rule, model.eligibleHeads, quiet, async (scorer) => {
    for await (const { results } of scorer.gradient([0], betas, never)) return results[0] as Slopes;
    throw new Error("no gradient");
  });
}

/** Loss of an item as one segment. */
async function lossOf(context: NativeContext, item: GradientItem, calibration: Calibration): Promise<number> {
  assert.ok("answers" in item);
  const { tokens, truth = [] } = item;
  const all = [...tokens, ...truth.slice(0, -1)];
  context.removeCells(0, -1);
  context.setCalibration(0, calibration);
  context.beginPrefill(0);
  const outputs = new Uint8Array(all.length).fill(1, tokens.length - 1);
  const positions = Int32Array.from(all, (_, i) => i);
  await context.decode({ tokens: Int32Array.from(all), positions, sequences: new Int32Array(all.length), outputs });
  const rows: Float32Array[] = [];
  for (let i = tokens.length - 1; i < all.length; i++) rows.push(await context.logits(i));
  return truth.length > 0 ? textLoss(rows, truth).loss : -answerOutcome(rows[0] as Float32Array, item.answers, item.label).logProbability;
}

/** Largest and some middling slopes against central differences. */
async function compare(item: GradientItem, rule: Rule, betas: readonly number[]): Promise<{ own: number[]; numeric: number[] }> {
  const { gradient, loss } = await slopesOf(item, rule, betas);
  const order = [...gradient.keys()].sort((a, b) => Math.abs(gradient[b] as number) - Math.abs(gradient[a] as number));
  const picked = [...order.slice(0, 10), ...order.slice(20, 100).filter((_, i) => i % 8 === 0)];
  const own = picked.map((head) => gradient[head] as number);
  const needs = { segment: 128, flashAttention: "off", cacheType: "f32" } as const;
  const numeric = await model.withSegments(needs, async (context) => {
    const heads: Head[] = model.eligibleHeads;
    const at = (changed: number, step: number) =>
      lossOf(context, item, { ...rule, heads, beta: 1, betas: betas.map((beta, i) => (i === changed ? beta + step : beta)) });
    assert.ok(Math.abs((await at(-1, 0)) - loss) < 2e-3, "both forward passes have the same loss");
    const slopes: number[] = [];
    // g = 1 - beta
    for (const head of picked) slopes.push(((await at(head, -STEP)) - (await at(head, STEP))) / (2 * STEP));
    return slopes;
  });
  return { own, numeric };
}

function assertSame({ own, numeric }: { own: number[]; numeric: number[] }, tolerance: number): void {
  const scale = Math.max(...numeric.map(Math.abs));
  own.forEach((slope, i) => {
    const expected = numeric[i] as number;
    assert.ok(Math.abs(slope - expected) < tolerance * Math.abs(expected) + 0.004 * scale, `${i}: ${slope}, numerically ${expected}`);
  });
}

const off = () => model.eligibleHeads.map(() => 1);

test("labels, every head off", async () => assertSame(await compare(label, act, off()), 0.02));
test("a text, every head off", async () => assertSame(await compare(text, act, off()), 0.02));
test("ZeroTuning, every head off", async () => assertSame(await compare(label, zeroTuning, off()), 0.02));

// Other strengths move keys over the threshold in deeper layers, where the loss has steps; far from it none moves.
test("a beta for each head, on both sides of 1, below and above", async () => {
  const far: Rule = { ...act, threshold: { mode: "fixed", value: 0.2 } };
  const betas = off().map((_, i) => 0.7 + 0.6 * (((i * 7919) % 100) / 100));
  const { own, numeric } = await compare(text, far, betas);
  const scale = Math.max(...numeric.map(Math.abs));
  const close = own.filter((slope, i) => Math.abs(slope - (numeric[i] as number)) < 0.02 * Math.abs(numeric[i] as number) + 0.004 * scale);
  assert.ok(close.length >= own.length - 3, `${own.map((slope, i) => `${slope}|${numeric[i]}`).join("  ")}`);
});

test("a pair's gradient is the difference of its texts' gradients", async () => {
  assert.ok("truth" in text && text.truth);
  const bad = model.native.tokenize(" none of them", false);
  const [pair, good, other] = [
    await slopesOf({ tokens: text.tokens, good: text.truth, bad }, act, null),
    await slopesOf(text, act, null),
    await slopesOf({ ...text, truth: bad }, act, null),
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
  const again = await withGradients(model, [label], act, model.eligibleHeads, turn, async (scorer: EngineGradients) => {
    for await (const { results } of scorer.gradient([0], null, never)) return results[0] as Slopes;
    throw new Error("no gradient");
  });
  assert.equal(pauses, 2);
  assert.deepEqual(again.gradient, (await slopesOf(label, act, null)).gradient);
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
