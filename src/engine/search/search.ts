import { createHash } from "node:crypto";
import type { SearchRecord } from "../../core/search/events.js";
import type { GradientScorer } from "../../core/search/gradient.js";
import { type SearchOptions, calibrate as search } from "../../core/search/search.js";
import type { Head } from "../../protocol/calibration.js";
import type { CalibrateParams, CalibrateResult } from "../../protocol/engine.js";
import { ActError } from "../../protocol/errors.js";
import type { Call } from "../../protocol/rpc.js";
import { version } from "../../protocol/version.js";
import { Journal, readJournal } from "../../store/journal.js";
import type { Engine, Handler } from "../engine.js";
import type { Turn } from "../queue.js";
import type { Model } from "../run/model.js";
import { ProgressThrottle } from "../run/progress.js";
import { withGradients } from "./gradient.js";
import { headSetOf } from "./head-set.js";
import { EngineScorer, scorerNeeds } from "./scorer.js";
import { type Subject, subjectOf } from "./subject.js";

/** ZeroTuning strengths that compete for a place among the rivals. */
const ZERO_TUNING = [0.6, 1.5] as const;

export const calibrate: Handler<"calibrate"> = async (engine, params, call) => {
  return await engine.queue.run("calibrate", "background", call.signal, async (turn) => await run(engine, params, call, turn));
};

async function run(engine: Engine, params: CalibrateParams, call: Call<"calibrate">, turn: Turn): Promise<CalibrateResult> {
  const { model } = engine;
  const eligible = eligibleHeads(model, params.layers);
  const strength = { method: params.method, beta: params.beta, threshold: params.threshold, statistics: params.statistics };
  model.checkCalibration({ ...strength, heads: eligible });
  const subject = await subjectOf(model, params, turn);
  const pool = [...subject.items, ...subject.contentFree];

  const merged = await mergedRecords(params, model);
  const header = headerOf(engine, params, subject);
  const { journal, records } = await Journal.open(params.journal, header, { resume: params.resume });
  try {
    if (merged.length > 0 && records.length === 0) await journal.append(merged);
    const known = [...(records.length > 0 ? records : merged)] as SearchRecord[];
    const throttle = new ProgressThrottle((progress) => call.progress(progress));
    const options: SearchOptions = {
      seed: params.seed,
      ...(subject.tasks.length > 0 ? { tasks: subject.tasks } : {}),
      ...(params.exhaustive ? { exhaustive: true } : {}),
      ...(params.samples === undefined ? {} : { samples: params.samples }),
      ...(params.confirm === undefined ? {} : { confirm: params.confirm }),
      ...(params.budgetMinutes === undefined ? {} : { budgetSeconds: 60 * params.budgetMinutes }),
      ...(params.shard && !params.merge ? { shard: params.shard } : {}),
      alwaysLive: params.method === "zero-tuning",
      contentFree: subject.contentFree.map((_, i) => subject.items.length + i),
      zeroTuning: params.method === "act" ? ZERO_TUNING : [],
      publishedSamples: subject.publishedSamples,
    };
    const work = async (scorer: EngineScorer, gradients: GradientScorer | null) => {
      const events = search(scorer, gradients, options, known, call.signal);
      for (;;) {
        const step = await events.next();
        if (step.done) return step.value;
        // On disk before it is told: what was seen is never lost.
        const event = step.value;
        if (event.type === "record") await turn.during(journal.append([event.record]));
        else if (event.type === "progress") throttle.add(event.progress);
        else await turn.rest();
      }
    };
    const byGradients = params.search !== "race" && !params.exhaustive && params.method === "act";
    const result = await model.withSegments(scorerNeeds(pool), async (context) => {
      const scorer = new EngineScorer(model, context, pool, subject.items.length, strength, eligible, turn);
      if (!byGradients) return await work(scorer, null);
      return await withGradients(model, subject.items, strength, eligible, turn, (gradients) => work(scorer, gradients));
    });
    throttle.flush();
    const headSet = headSetOf(model, params, subject, result);
    return {
      headSet,
      helps: result?.helps ?? false,
      verdict:
        result?.verdict ??
        `Shard ${(params.shard?.index ?? 0) + 1} of ${params.shard?.count} is done. Merge the journals of all shards for the answer.`,
      journal: params.journal,
    };
  } finally {
    await journal.close();
  }
}

/** The model's eligible heads, or all heads of the layers asked for. */
function eligibleHeads(model: Model, layers: [number, number] | undefined): Head[] {
  if (!layers) return model.eligibleHeads;
  const [first, last] = layers;
  if (last >= model.info.layers || first > last)
    throw new ActError("usage", `Layers ${first}-${last} are not all there: the model has layers 0 to ${model.info.layers - 1}.`);
  const heads: Head[] = [];
  for (let layer = first; layer <= last; layer++) for (let head = 0; head < model.info.heads; head++) heads.push([layer, head]);
  return heads;
}

/** Everything the records depend on. A shard's journal says which share it is; the merged one does not. */
function headerOf(engine: Engine, params: CalibrateParams, subject: Subject) {
  const { info } = engine.model;
  const items = createHash("sha256");
  for (const { tokens, label, truth } of [...subject.items, ...subject.contentFree])
    items.update(JSON.stringify([tokens, label ?? null, truth ?? null]));
  return {
    kind: "calibrate",
    model: { name: info.name, sha256: info.sha256 },
    version,
    options: {
      subject: subject.name,
      versions: subject.versions,
      items: items.digest("hex"),
      patchSet: engine.model.native.backend.patchSet,
      backend: info.backend,
      method: params.method,
      search: params.search ?? null,
      shots: params.shots ?? 0,
      beta: params.beta,
      threshold: params.threshold,
      statistics: params.statistics,
      seed: params.seed,
      samples: params.samples ?? null,
      confirm: params.confirm ?? null,
      exhaustive: params.exhaustive ?? false,
      budgetMinutes: params.budgetMinutes ?? null,
      layers: params.layers ?? null,
      shard: params.merge ? null : (params.shard ?? null),
    },
  };
}

/** Records of the shards' journals. @throws ActError `usage` where they belong to another model or to different searches */
async function mergedRecords({ merge = [] }: CalibrateParams, model: Model): Promise<unknown[]> {
  const records: unknown[] = [];
  let first: string | null = null;
  for (const file of merge) {
    const { header, records: own } = await readJournal(file);
    if (header.model.sha256 !== model.info.sha256)
      throw new ActError("usage", `The journal ${file} belongs to another model: ${header.model.name} instead of ${model.info.name}.`);
    const search = JSON.stringify({ ...header.options, shard: null });
    first ??= search;
    if (search !== first)
      throw new ActError("usage", `The journal ${file} belongs to another search than ${merge[0]}. Merge shards of one search.`);
    records.push(...own);
  }
  return records;
}
