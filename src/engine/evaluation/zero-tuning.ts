import { Adam } from "../../core/search/tuning/adam.js";
import type { Calibration } from "../../protocol/calibration.js";
import { DEFAULT_THRESHOLD } from "../../protocol/calibration.js";
import { ActError } from "../../protocol/errors.js";
import type { Turn } from "../queue.js";
import type { Model } from "../run/model.js";
import { withGradients } from "../search/gradient.js";
import { labelTokens } from "../search/task-items.js";
import type { Work } from "./plan.js";

const PROMPTS = 64;
const EPOCHS = 2;
/** Prompts of one step. */
const BATCH = 8;
const ADAM = { rate: 0.15, decay: 0.3 };
const RULE = { method: "zero-tuning", threshold: DEFAULT_THRESHOLD, statistics: "running" } as const;

/** ZeroTuning (Han et al. 2025) with these strengths of the eligible heads, or one for all. */
export function zeroTuning(model: Model, strength: { beta: number } | { betas: number[] }): Calibration {
  return { ...RULE, heads: model.eligibleHeads, beta: 1, ...strength };
}

/**
 * A strength for each head, tuned on training prompts by the gradient of the cross entropy; null where the model's graph has no backward pass.
 * @throws ActError `cancelled`
 */
export async function tunedStrengths(model: Model, training: readonly Work[], turn: Turn): Promise<number[] | null> {
  const pool = training.slice(0, PROMPTS).map(({ task, item, tokens }) => ({
    tokens,
    answers: labelTokens(model, task, item.choices?.length),
    label: item.label,
  }));
  try {
    return await withGradients(model, pool, RULE, model.eligibleHeads, turn, async (scorer) => {
      const adam = new Adam(scorer.eligible.length, ADAM);
      for (let step = 0; step * BATCH < EPOCHS * pool.length; step++) {
        const items = Array.from({ length: BATCH }, (_, i) => (step * BATCH + i) % pool.length);
        const slopes = new Float64Array(scorer.eligible.length);
        for await (const { results } of scorer.gradient(items, adam.betas, turn.signal))
          for (const { gradient } of results)
            gradient.forEach((slope, head) => {
              slopes[head] = (slopes[head] as number) + slope / BATCH;
            });
        adam.step(slopes);
      }
      return adam.betas;
    });
  } catch (error) {
    if (error instanceof ActError && error.code === "unsupported") return null;
    throw error;
  }
}
