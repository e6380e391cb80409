import { toIndex } from "../../core/search/scorer.js";
import type { GradientResult } from "../../protocol/engine.js";
import { ActError } from "../../protocol/errors.js";
import type { GradientParams } from "../../protocol/requests/search.js";
import { checkTokens } from "../check.js";
import type { Handler } from "../engine.js";
import type { Model } from "../run/model.js";
import { type GradientItem, withGradients } from "./gradient.js";

export const gradient: Handler<"gradient"> = async (engine, params, call) =>
  await engine.queue.run("gradient", "background", call.signal, async (turn): Promise<GradientResult> => {
    const { model } = engine;
    const { layers, heads } = model.info;
    const eligible = model.eligibleHeads;
    const { method, threshold, statistics, betas } = params;
    const rule = { method, threshold, statistics };
    const own = betas && eligible.map(([layer, head]) => betas[layer]?.[head] ?? 1);
    model.checkCalibration({ ...rule, heads: eligible, beta: 1, ...(own && { betas: own }) });
    const items = itemsOf(model, params);
    const results: GradientResult["results"] = [];
    await withGradients(
      model,
      items,
      rule,
      eligible,
      turn,
      async (scorer) => {
        const columns = new Map(scorer.eligible.map((head, i) => [head, i]));
        const all = items.map((_, i) => i);
        for await (const step of scorer.gradient(all, own, call.signal))
          for (const { loss, outcome, gradient: slopes } of step.results)
            results.push({
              loss,
              scores: outcome.answers ?? [],
              gradient: Array.from({ length: layers }, (_, layer) =>
                Array.from({ length: heads }, (__, head) => slopes[columns.get(toIndex([layer, head], heads)) ?? -1] ?? 0),
              ),
            });
      },
      params.objective,
    );
    return { results };
  });

/** @throws ActError `usage` or `context-overflow` for an item that cannot be evaluated */
function itemsOf(model: Model, { items }: GradientParams): GradientItem[] {
  return items.map((item, i): GradientItem => {
    const all = Object.values(item).filter((part) => Array.isArray(part));
    for (const tokens of all) checkTokens(tokens, model.info.vocabulary, `item ${i}`);
    const behind = "truth" in item ? item.truth.length : "good" in item ? Math.max(item.good.length, item.bad.length) : 1;
    model.checkSegment(item.tokens.length + behind - 1);
    if ("answers" in item && item.label >= item.answers.length)
      throw new ActError("usage", `items.${i}.label: ${item.label} is none of the ${item.answers.length} answers.`);
    return "truth" in item ? { ...item, answers: [] } : item;
  });
}
