import { toHead } from "../../core/search/scorer.js";
import type { SearchResult } from "../../core/search/search.js";
import type { Evidence, HeadSet } from "../../protocol/calibration.js";
import type { CalibrateParams } from "../../protocol/engine.js";
import type { Model } from "../run/model.js";
import type { Subject } from "./subject.js";

/** What a search found, with its evidence; an empty set for a shard. */
export function headSetOf(model: Model, params: CalibrateParams, subject: Subject, result: SearchResult | null): HeadSet {
  const { info } = model;
  const heads = (result?.heads ?? []).map((head) => toHead(head, info.heads));
  const betas = result?.variant?.betas;
  // One strength for all is written as one.
  const one = betas && new Set(betas).size === 1 ? betas[0] : undefined;
  return {
    schema: 2,
    use: params.workspace === undefined ? "task" : "completions",
    name: `${info.name} / ${subject.name}`,
    method: params.method,
    beta: one ?? params.beta,
    ...(betas && one === undefined ? { betas: [...betas] } : {}),
    threshold: params.threshold,
    statistics: params.statistics,
    model: { name: info.name, sha256: info.sha256, architecture: info.architecture, layers: info.layers, heads: info.heads },
    heads,
    on: result?.helps ?? false,
    ...(result ? { verdict: result.verdict } : {}),
    ...(result ? { evidence: evidenceOf(params, subject, result) } : {}),
  };
}

function evidenceOf(params: CalibrateParams, subject: Subject, { confirmed, sizes, spent, rivals, ...result }: SearchResult): Evidence {
  const { finding, biasFree, smallestGain, tasks, leaveOneOut, fallback } = result;
  // Where nothing was confirmed there is no difference to report, and none is claimed.
  const none = rivals[0]?.baseline ?? 0;
  const { baseline, calibrated, difference, interval, p } = confirmed ?? {
    baseline: none,
    calibrated: none,
    difference: 0,
    interval: [0, 0] as [number, number],
    p: 1,
  };
  return {
    task: subject.name,
    seed: params.seed,
    chosenOn: sizes.choose,
    validatedOn: sizes.validate,
    confirmedOn: sizes.confirm,
    baseline,
    calibrated,
    difference,
    interval,
    p,
    forwardPasses: Math.round(spent.forwardPasses),
    tokenLayers: Math.round(spent.tokenLayers),
    exhaustiveTokenLayers: result.exhaustiveTokenLayers,
    seconds: Math.round(spent.seconds * 10) / 10,
    rule: result.rule,
    verdict: result.verdict,
    method: result.method,
    ...(fallback === null ? {} : { fallback }),
    search: params.exhaustive ? "exhaustive" : "fast",
    shots: params.shots ?? 0,
    comparisons: result.validated.length,
    choosingTokenLayers: Math.round(finding.tokenLayers),
    choosingSeconds: Math.round(finding.seconds * 10) / 10,
    ...(biasFree ? { biasFree: { ...biasFree } } : {}),
    ...(smallestGain === null ? {} : { smallestGain }),
    ...(tasks.length > 0 ? { tasks: tasks.map((row) => ({ ...row })) } : {}),
    ...(leaveOneOut.length > 0 ? { leaveOneOut: leaveOneOut.map((row) => ({ ...row })) } : {}),
    metric: params.workspace === undefined ? "accuracy" : "log-likelihood",
    // The published form counts the greedy token's text and is 0 for tokenizers that write " A"; a search needs a score that moves.
    scoring: subject.scoring,
    skipped: subject.skipped,
    validated: result.validated,
    rivals: rivals.map(({ name, n, heads, calibrated: accuracy, difference: d, interval: i, p: own }) => ({
      name,
      n,
      heads,
      accuracy,
      difference: d,
      interval: i,
      p: own,
    })),
  };
}
