// The backward pass against central differences of the real loss, whose forward pass shares no code with it: attention without FlashAttention, an
// f32 cache.
import assert from "node:assert/strict";
import { type Slopes, textLoss } from "../../../src/core/search/gradient.js";
import { Backends } from "../../../src/engine/native/backends.js";
import type { NativeContext } from "../../../src/engine/native/native.js";
import { preflight } from "../../../src/engine/native/preflight.js";
import type { Turn } from "../../../src/engine/queue.js";
import { Model } from "../../../src/engine/run/model.js";
import { type GradientItem, type Rule, withGradients } from "../../../src/engine/search/gradient.js";
import { answerOutcome } from "../../../src/engine/search/scorer.js";
import type { Calibration, Head } from "../../../src/protocol/calibration.js";

export const never = new AbortController().signal;
export const quiet: Turn = {
  signal: never,
  waited: 0,
  pause: async () => {},
  rest: async () => {},
  during: (other) => other,
  preempted: never,
};
export const act: Rule = { method: "act", threshold: { mode: "fixed", value: 0.1 }, statistics: "running" };
const STEP = 0.05;

/** Slopes by the backward pass, and by central differences. */
export interface Compared {
  own: number[];
  numeric: number[];
}

const backends = new Backends(() => {});
export async function load(path: string): Promise<Model> {
  const { header } = await preflight(path);
  const { backend, reason } = await backends.choose("cpu");
  const file = { sha256: "unused", bytes: 6e8, shape: header, trainContext: header.trainContext, backendReason: reason };
  return await Model.load(backend, { path, sequences: 0, threads: 2 }, file, () => {}, never);
}

export async function slopesOf(model: Model, item: GradientItem, rule: Rule, betas: readonly number[] | null): Promise<Slopes> {
  return await withGradients(model, [item], rule, model.eligibleHeads, quiet, async (scorer) => {
    for await (const { results } of scorer.gradient([0], betas, never)) return results[0] as Slopes;
    throw new Error("no gradient");
  });
}

/** Loss of an item as one segment. */
export async function lossOf(context: NativeContext, item: GradientItem, calibration: Calibration): Promise<number> {
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
export async function compare(model: Model, item: GradientItem, rule: Rule, betas: readonly number[]): Promise<Compared> {
  const { gradient, loss } = await slopesOf(model, item, rule, betas);
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

export function assertSame({ own, numeric }: Compared, tolerance: number): void {
  const scale = Math.max(...numeric.map(Math.abs));
  own.forEach((slope, i) => {
    const expected = numeric[i] as number;
    assert.ok(Math.abs(slope - expected) < tolerance * Math.abs(expected) + 0.004 * scale, `${i}: ${slope}, numerically ${expected}`);
  });
}
