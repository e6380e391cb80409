/**
 * What side-by-side head sets and the restart at a layer are worth to the search (issue 4, section 4): `node scripts/run.mjs bench search-batch`.
 * Every width scores the same (prompt, head) pairs of the same prompts, interleaved over rounds; the answers must agree.
 */
import { quantile } from "../../src/core/numbers/timing.js";
import type { Job } from "../../src/core/search/scorer.js";
import { findTask } from "../../src/core/tasks/index.js";
import { Backends } from "../../src/engine/native/backends.js";
import { preflight } from "../../src/engine/native/preflight.js";
import type { Turn } from "../../src/engine/queue.js";
import { Model } from "../../src/engine/run/model.js";
import { EngineScorer, type ScorerItem, scorerNeeds } from "../../src/engine/search/scorer.js";
import { taskItems } from "../../src/engine/search/task-items.js";
import { loadTask } from "../../src/store/data.js";
import { DEFAULT_MODEL, modelPath } from "../../src/store/models.js";

const WIDTHS = [1, 2, 4, 8, 16];
const ROUNDS = 3;
/** Live heads of a prompt that are scored, neighbours from the middle layers. */
const HEADS = 48;
const never = new AbortController().signal;
const turn: Turn = { signal: never, waited: 0, pause: async () => {}, rest: async () => {}, during: (other) => other, preempted: never };
const strength = { method: "act", beta: 0.4, threshold: { mode: "fixed", value: 0.1 }, statistics: "running" } as const;

const middle = (live: readonly number[]) => live.slice(Math.max(0, (live.length - HEADS) / 2)).slice(0, HEADS);

/** Milliseconds for these pairs of one prompt at a width, and what they scored. */
async function time(
  model: Model,
  items: ScorerItem[],
  item: number,
  width: number,
): Promise<{ ms: number; pairs: number; answers: Map<string, number[]> }> {
  return await model.withSegments(scorerNeeds(items, width), async (context) => {
    const scorer = new EngineScorer(model, context, items, items.length, strength, model.eligibleHeads, turn);
    let jobs: Job[] = [];
    for await (const { results } of scorer.baseline([item], never))
      jobs = middle(results[0]?.live ?? []).map((head) => ({ item, heads: [head] }));
    const answers = new Map<string, number[]>();
    const start = performance.now();
    for await (const { results } of scorer.score(jobs, never))
      for (const { job, outcome } of results) answers.set(job.heads.join(), outcome.answers ?? []);
    return { ms: performance.now() - start, pairs: jobs.length, answers };
  });
}

interface Row {
  task: string;
  /** Tokens of the prompts. */
  tokens: number[];
  /** Head sets side by side in one batch. */
  width: number;
  pairsPerSecond: number;
  /** Of one by one. */
  ratio: number;
}

export async function run(): Promise<Row[]> {
  const path = process.env.ACT_MODEL || modelPath(DEFAULT_MODEL);
  const { header } = await preflight(path);
  const { backend, reason } = await new Backends(() => {}).choose("cpu");
  const file = { sha256: "", bytes: 1e8, shape: header, trainContext: header.trainContext, backendReason: reason };
  const model = await Model.load(backend, { path, sequences: 0 }, file, () => {}, never);
  const rows: Row[] = [];
  for (const name of ["sst2", "AGNews"]) {
    const { train } = await loadTask(name, {});
    const { items } = await taskItems(model, findTask(name), train.slice(0, ROUNDS), turn);
    const rates = new Map<number, number[]>(WIDTHS.map((width) => [width, []]));
    for (let item = 0; item < items.length; item++) {
      let reference: Map<string, number[]> | null = null;
      for (const width of WIDTHS) {
        const { ms, pairs, answers } = await time(model, items, item, width);
        rates.get(width)?.push((1000 * pairs) / ms);
        reference ??= answers;
        for (const [head, scores] of answers) {
          if (scores.some((score, a) => Math.abs(score - (reference?.get(head)?.[a] ?? Number.NaN)) > 1e-3))
            throw new Error(`Width ${width} scores head ${head} differently.`);
        }
      }
    }
    const median = (width: number) => quantile(rates.get(width) ?? [], 0.5);
    const tokens = items.map((one) => one.tokens.length);
    for (const width of WIDTHS) rows.push({ task: name, tokens, width, pairsPerSecond: median(width), ratio: median(width) / median(1) });
  }
  await model.dispose();
  return rows;
}
