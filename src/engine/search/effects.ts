import { choose, random } from "../../core/numbers/random.js";
import { quantile } from "../../core/numbers/timing.js";
import { agreement, type EffectPair } from "../../core/search/effects.js";
import type { Baseline, HeadIndex, Job, Outcome } from "../../core/search/scorer.js";
import type { EffectsResult } from "../../protocol/engine.js";
import { ActError } from "../../protocol/errors.js";
import type { EffectsParams } from "../../protocol/requests/search.js";
import type { Call } from "../../protocol/rpc.js";
import { loadTask } from "../../store/data.js";
import type { Handler } from "../engine.js";
import type { Turn } from "../queue.js";
import type { Model } from "../run/model.js";
import { withGradients } from "./gradient.js";
import { EngineScorer, type ScorerItem, scorerNeeds } from "./scorer.js";
import { taskItems } from "./task-items.js";
import { workspaceItems } from "./workspace-items.js";

export const effects: Handler<"effects"> = async (engine, params, call) =>
  await engine.queue.run("effects", "background", call.signal, async (turn) => {
    const { model } = engine;
    const { method, beta, threshold, statistics } = params;
    model.checkCalibration({ method, beta, threshold, statistics, heads: model.eligibleHeads });
    const { name, items } = await promptsOf(model, params, turn);
    const work = new Work(model, params, items, call, turn);
    try {
      const estimated = await work.estimate();
      const real = params.real ? await work.measure() : null;
      return {
        ...work.result(name, estimated.effects),
        method: "gradient" as const,
        reason: null,
        gradientSeconds: estimated.gradientSeconds,
        forwardSeconds: estimated.forwardSeconds,
        real: real && agreement(work.pairs(estimated.effects, real.effects)),
      };
    } catch (error) {
      if (!(error instanceof ActError) || error.code !== "unsupported") throw error;
      const real = await work.measure();
      return {
        ...work.result(name, real.effects),
        method: "race" as const,
        reason: error.message,
        gradientSeconds: null,
        forwardSeconds: real.forwardSeconds,
        real: null,
      };
    }
  });

/** Prompts drawn by the seed. @throws ActError `usage`, `data` */
async function promptsOf(model: Model, { task, workspace, data, limit, seed }: EffectsParams, turn: Turn) {
  if ((task === undefined) === (workspace === undefined)) throw new ActError("usage", "Say whose prompts: a task, or a workspace folder.");
  if (workspace !== undefined) {
    const { name, items } = await workspaceItems(model, workspace, seed, turn);
    return { name, items: items.slice(0, limit) };
  }
  const loaded = await turn.during(loadTask(task as string, { ...(data !== undefined && { data }), signal: turn.signal }));
  const drawn = choose(loaded.train, Math.min(limit, loaded.train.length), random(seed));
  return { name: loaded.task.name, items: (await taskItems(model, loaded.task, drawn, turn)).items };
}

/** Effects by item and head; a head without a second sink on an item has none there. */
type ByItem = Map<HeadIndex, number>[];

class Work {
  private readonly all: number[];

  constructor(
    private readonly model: Model,
    private readonly params: EffectsParams,
    private readonly items: ScorerItem[],
    private readonly call: Call<"effects">,
    private readonly turn: Turn,
  ) {
    this.all = items.map((_, i) => i);
  }

  /** One backward pass a prompt, and beside it a plain forward pass for its time. */
  async estimate(): Promise<{ effects: ByItem; gradientSeconds: number; forwardSeconds: number }> {
    const { model, items, turn, call, params } = this;
    const { beta, ...rule } = params;
    const times: { gradient: number[]; forward: number[] } = { gradient: [], forward: [] };
    const found = await withGradients(
      model,
      items,
      rule,
      model.eligibleHeads,
      turn,
      async (scorer) => {
        const byItem: ByItem = [];
        for (const item of this.all) {
          const start = performance.now();
          for await (const { results } of scorer.gradient([item], null, call.signal))
            for (const { gradient } of results) {
              times.gradient.push((performance.now() - start) / 1000);
              byItem.push(new Map(scorer.eligible.map((head, i) => [head, -(1 - beta) * (gradient[i] as number)])));
            }
          const second = performance.now();
          await scorer.forward(item, call.signal);
          times.forward.push((performance.now() - second) / 1000);
          call.progress({ part: "estimate", done: byItem.length, total: items.length });
        }
        return byItem;
      },
      "margin",
    );
    return { effects: found, gradientSeconds: quantile(times.gradient, 0.5), forwardSeconds: quantile(times.forward, 0.5) };
  }

  /** Every head with a second sink alone, with activations that are not rounded: see NativeContext.withExactProducts. */
  async measure(): Promise<{ effects: ByItem; forwardSeconds: number }> {
    const { model, items, turn, call, params } = this;
    const { method, beta, threshold, statistics } = params;
    return await model.withSegments(scorerNeeds(items), (context) =>
      context.withExactProducts(async () => {
        const strength = { method, beta, threshold, statistics };
        const scorer = new EngineScorer(model, context, items, items.length, strength, model.eligibleHeads, turn);
        const byItem: ByItem = [];
        const times: number[] = [];
        for (const item of this.all) {
          const start = performance.now();
          let before: Baseline | undefined;
          for await (const { results } of scorer.baseline([item], call.signal)) before = results[0];
          times.push((performance.now() - start) / 1000);
          const { outcome, live } = before as Baseline;
          const heads = method === "zero-tuning" ? scorer.eligible : live;
          const jobs = heads.map((head): Job => ({ item, heads: [head] }));
          const own = new Map<HeadIndex, number>();
          for await (const { results } of scorer.score(jobs, call.signal))
            for (const { job, outcome: with1 } of results) own.set(job.heads[0] as HeadIndex, change(outcome, with1));
          byItem.push(own);
          call.progress({ part: "measure", done: byItem.length, total: items.length });
        }
        return { effects: byItem, forwardSeconds: quantile(times, 0.5) };
      }),
    );
  }

  pairs(estimated: ByItem, real: ByItem): EffectPair[] {
    return real.flatMap((own, item) => [...own].map(([head, value]) => ({ estimated: estimated[item]?.get(head) ?? 0, real: value })));
  }

  result(task: string, byItem: ByItem): Pick<EffectsResult, "task" | "prompts" | "beta" | "effects"> {
    const { layers, heads } = this.model.info;
    const prompts = byItem.length;
    const mean = (head: HeadIndex) => byItem.reduce((sum, own) => sum + (own.get(head) ?? 0), 0) / prompts;
    const grid = Array.from({ length: layers }, (_, layer) => Array.from({ length: heads }, (__, head) => mean(layer * heads + head)));
    return { task, prompts, beta: this.params.beta, effects: grid };
  }
}

function change(before: Outcome, after: Outcome): number {
  return after.margin - before.margin;
}
