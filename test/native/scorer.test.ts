// The Scorer on the real model: restart at a layer, head sets side by side, dead pairs, and giving way to a request.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { HeadIndex, Job, Outcome } from "../../src/core/search/scorer.js";
import { sortedHeads, toHead } from "../../src/core/search/scorer.js";
import { Backends } from "../../src/engine/native/backends.js";
import { preflight } from "../../src/engine/native/preflight.js";
import { Queue, type Turn } from "../../src/engine/queue.js";
import { Model } from "../../src/engine/run/model.js";
import { SetBatch } from "../../src/engine/run/set-batch.js";
import { EngineScorer, type ScorerItem, scorerNeeds } from "../../src/engine/search/scorer.js";
import { DEFAULT_MODEL, modelPath } from "../../src/store/models.js";

const path = process.env.ACT_MODEL || modelPath(DEFAULT_MODEL);
const never = new AbortController().signal;
const strength = { method: "act", beta: 0.4, threshold: { mode: "fixed", value: 0.1 }, statistics: "running" } as const;
let model: Model;
let items: ScorerItem[];

before(async () => {
  const { header } = await preflight(path);
  const { backend, reason } = await new Backends(() => {}).choose("cpu");
  const file = { sha256: "unused", bytes: 1e8, shape: header, trainContext: header.trainContext, backendReason: reason };
  model = await Model.load(backend, { path, sequences: 0, threads: 2 }, file, () => {}, never);
  const answers = [" negative", " positive"].map((word) => model.native.tokenize(word, false).at(-1) as number);
  const prompt = (text: string) => model.encode(`Classify the sentiment: 'positive' or 'negative'.\n\nSentence: ${text} \nSentiment: `);
  items = [
    { tokens: prompt("a slow , clumsy mess that wastes two good actors"), answers, label: 0 },
    { tokens: prompt("warm , funny and wise"), answers, label: 1 },
  ];
});
after(async () => await model.dispose());

const quiet: Turn = { signal: never, waited: 0, pause: async () => {}, rest: async () => {}, during: (other) => other, preempted: never };

async function withScorer<T>(
  pool: ScorerItem[],
  sequences: number,
  work: (scorer: EngineScorer, batch: SetBatch) => Promise<T>,
  turn = quiet,
): Promise<T> {
  return await model.withSegments(scorerNeeds(pool, sequences), async (context) =>
    work(new EngineScorer(model, context, pool, pool.length, strength, model.eligibleHeads, turn), new SetBatch(context, turn)),
  );
}

async function scoreAll(scorer: EngineScorer, jobs: Job[]): Promise<Map<string, Outcome>> {
  const outcomes = new Map<string, Outcome>();
  for await (const { results } of scorer.score(jobs, never))
    for (const { job, outcome } of results) outcomes.set(`${job.item}|${job.heads}`, outcome);
  return outcomes;
}

async function liveOf(scorer: EngineScorer, item: number): Promise<{ live: HeadIndex[]; outcome: Outcome }> {
  for await (const { results } of scorer.baseline([item], never)) return results[0] as { live: HeadIndex[]; outcome: Outcome };
  throw new Error("no baseline");
}

test("restart at a layer equals the full evaluation, for sets that begin at many layers, heads that are not live below them", async () => {
  await withScorer(items, 4, async (scorer, batch) => {
    const { live } = await liveOf(scorer, 0);
    const byLayer = new Map(live.map((head) => [Math.floor(head / model.info.heads), head]));
    const dead = scorer.eligible.filter((head) => !live.includes(head)).slice(0, 2);
    const jobs = [...byLayer.values()].map((head): Job => {
      const own = live.filter((other) => other >= head).slice(0, 5);
      return { item: 0, heads: sortedHeads([...dead, ...own]) };
    });
    assert.ok(jobs.length > 10);
    const restarted = await scoreAll(scorer, jobs);
    let largest = 0;
    for (const { heads } of jobs) {
      const [full] = await batch.prompt(
        (items[0] as ScorerItem).tokens,
        [{ ...strength, heads: heads.map((head) => toHead(head, model.info.heads)) }],
        never,
      );
      (items[0] as ScorerItem).answers.forEach((token, a) => {
        const own = restarted.get(`0|${heads}`)?.answers?.[a] as number;
        largest = Math.max(largest, Math.abs(own - ((full as Float32Array)[token] as number)));
      });
    }
    assert.ok(largest < 1e-4, `largest difference of a logit ${largest}`);
  });
});

test("sets side by side in one batch score as one by one", async () => {
  const run = (sequences: number) =>
    withScorer(items, sequences, async (scorer) => {
      const { live } = await liveOf(scorer, 1);
      return await scoreAll(
        scorer,
        live.slice(0, 24).map((head) => ({ item: 1, heads: [head] })),
      );
    });
  const one = await run(1);
  const eight = await run(8);
  assert.ok(one.size > 10);
  for (const [key, outcome] of one) {
    outcome.answers?.forEach((score, a) => {
      assert.ok(Math.abs(score - (eight.get(key)?.answers?.[a] as number)) < 1e-4, key);
    });
  }
});

test("a head without a second sink changes nothing, a live one does", async () => {
  await withScorer(items, 4, async (scorer) => {
    const { live, outcome } = await liveOf(scorer, 0);
    const dead = scorer.eligible.filter((head) => !live.includes(head)).slice(0, 12);
    assert.ok(dead.length > 5 && live.length > 50);
    const outcomes = await scoreAll(
      scorer,
      [...dead, ...live.slice(0, 12)].map((head) => ({ item: 0, heads: [head] })),
    );
    const moved = (head: HeadIndex) =>
      Math.max(...(outcomes.get(`0|${head}`)?.answers ?? []).map((score, a) => Math.abs(score - (outcome.answers?.[a] as number))));
    for (const head of dead) assert.ok(moved(head) < 1e-5, `dead head ${head} moved a logit by ${moved(head)}`);
    assert.ok(live.slice(0, 12).some((head) => moved(head) > 1e-3));
  });
});

test("completions: prompt and continuation as two segments, restarted or not", async () => {
  const tokens = model.encode("def add(left, right):\n    return left +");
  const truth = model.native.tokenize(" right\n\ndef sub(left, right):", false);
  const pool: ScorerItem[] = [{ tokens, answers: [], truth, firstLine: 1 }];
  await withScorer(pool, 4, async (scorer, batch) => {
    const { live, outcome } = await liveOf(scorer, 0);
    // Against decoding token by token without calibration.
    let sum = 0;
    batch.begin([null]);
    for (let i = 0; i < truth.length; i++) {
      const segment = i === 0 ? tokens : [truth[i - 1] as number];
      assert.ok(await batch.decode(segment, i === 0 ? 0 : tokens.length + i - 1, 1, never));
      const [[row]] = (await batch.logits(segment.length, 1)) as [[Float32Array]];
      const most = row.reduce((a, b) => Math.max(a, b));
      sum += (row[truth[i] as number] as number) - most - Math.log(row.reduce((total, value) => total + Math.exp(value - most), 0));
    }
    assert.ok(Math.abs(outcome.margin - sum / truth.length) < 0.02, `${outcome.margin} against ${sum / truth.length}`);
    assert.equal(outcome.correct, true);
    const heads = live.filter((head) => head >= 15 * model.info.heads).slice(0, 3);
    const restarted = (await scoreAll(scorer, [{ item: 0, heads }, ...heads.map((head) => ({ item: 0, heads: [head] }))])).get(
      `0|${heads}`,
    );
    const calibrations = [{ ...strength, heads: heads.map((head) => toHead(head, model.info.heads)) }];
    batch.begin(calibrations);
    assert.ok(await batch.decode(tokens, 0, 1, never));
    assert.ok(await batch.decode(truth.slice(0, -1), tokens.length, 1, never, true));
    assert.ok(restarted && Number.isFinite(restarted.margin) && restarted.margin !== outcome.margin);
  });
});

test("a request of higher class does not wait for a batch: the batch is given up and repeated", async () => {
  const long: ScorerItem = { ...(items[0] as ScorerItem), tokens: Array.from({ length: 400 }, (_, i) => 100 + ((i * 37) % 5000)) };
  const queue = new Queue();
  const results: Outcome[] = [];
  let waited = Number.POSITIVE_INFINITY;
  await model.withSegments(scorerNeeds([long], 4), async (context) => {
    const background = queue.run("search", "background", never, async (turn) => {
      const scorer = new EngineScorer(model, context, [long], 1, strength, model.eligibleHeads, turn);
      for (let round = 0; round < 2; round++)
        for await (const { results: own } of scorer.baseline([0], never)) results.push((own[0] as { outcome: Outcome }).outcome);
    });
    await new Promise((resolve) => setTimeout(resolve, 60));
    const asked = performance.now();
    await queue.run("typing", "typing", never, async () => {
      waited = performance.now() - asked;
    });
    await background;
  });
  assert.equal(results.length, 2);
  assert.deepEqual(results[0], results[1]);
  assert.ok(waited < 400, `the request waited ${waited} ms`);
});
