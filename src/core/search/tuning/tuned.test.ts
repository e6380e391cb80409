import assert from "node:assert/strict";
import { test } from "node:test";
import { helpful, type Planted, PlantedScorer } from "../../../../test/fixtures/planted.js";
import type { CalibrateProgress } from "../../../protocol/engine.js";
import type { SearchRecord } from "../events.js";
import { calibrate, type SearchOptions, type SearchResult } from "../search.js";
import { Adam } from "./adam.js";
import { union } from "./tuned.js";

async function search(scorer: PlantedScorer, options: Partial<SearchOptions> = {}) {
  const progress: CalibrateProgress[] = [];
  const records: SearchRecord[] = [];
  const events = calibrate(scorer, scorer, { seed: 1, ...options }, [], new AbortController().signal);
  for (;;) {
    const step = await events.next();
    if (step.done) return { result: step.value as SearchResult, progress, records };
    if (step.value.type === "record") records.push(step.value.record);
    if (step.value.type === "progress") progress.push(step.value.progress);
  }
}

test("planted heads: the helpful ones are weakened, the harmful ones strengthened, and the gain is confirmed for far less work", async () => {
  let weakened = 0;
  let strengthened = 0;
  for (let seed = 1; seed <= 4; seed++) {
    const planted = helpful(seed, { items: 1000 });
    const { result } = await search(planted.scorer, { seed });
    assert.equal(result.method, "gradient");
    assert.ok(result.helps, result.verdict);
    assert.ok((result.confirmed?.difference ?? 0) > 0.1, result.verdict);
    assert.equal(result.confirmed?.n, 600);
    const betas = new Map(result.heads.map((head, i) => [head, result.variant?.betas?.[i] ?? result.variant?.beta ?? 0.4]));
    weakened += [...planted.good].filter((head) => (betas.get(head) ?? 1) < 1).length / planted.good.size / 4;
    strengthened += [...planted.bad].filter((head) => (betas.get(head) ?? 1) >= 1).length / planted.bad.size / 4;
    assert.ok(
      result.finding.tokenLayers < result.exhaustiveTokenLayers / 30,
      `${result.finding.tokenLayers} of ${result.exhaustiveTokenLayers}`,
    );
    assert.ok(result.finding.tokenLayers < result.spent.tokenLayers);
  }
  assert.ok(weakened > 0.6, `share of the helpful heads that are weakened: ${weakened}`);
  assert.ok(strengthened > 0.7, `share of the harmful heads that are left or strengthened: ${strengthened}`);
});

test("200 useless searches, labels shuffled: at most 2.5 % are switched on", async () => {
  let on = 0;
  for (let seed = 1; seed <= 200; seed++) {
    // The heads move the answers strongly, the labels have nothing to do with them.
    const shift = (head: number) => (head % 3 === 0 ? [0.15, -0.15] : head % 3 === 1 ? [-0.15, 0.15] : null);
    const scorer = new PlantedScorer({ seed, items: 150, layers: 5, heads: 3, shift, spread: 0.3, shuffled: true });
    const { result } = await search(scorer, { seed, samples: 24, confirm: 80, tasks: ["useless"] });
    if (result.helps) on++;
  }
  assert.ok(on <= 5, `${on} of 200 useless searches were switched on`);
});

test("a model without a backward pass falls back to the race, and the result says so", async () => {
  const { scorer } = helpful(2, { noGradient: true });
  const { result } = await search(scorer, { seed: 2 });
  assert.equal(result.method, "race");
  assert.match(result.fallback ?? "", /no backward pass/);
  assert.ok(result.helps, result.verdict);
});

const two: Partial<Planted> = { items: 900, tasks: 2, bias: [1.2, -1.2], spread: 0.05 };

test("several tasks: each has its own verdict, and the union is judged on the task that it never saw", async () => {
  const both = new PlantedScorer({ seed: 3, ...two, shift: (head) => (head % 7 === 0 ? [-0.2, 0.2] : null) });
  const { result } = await search(both, { seed: 3, tasks: ["first", "second"] });
  assert.ok(result.helps, result.verdict);
  assert.deepEqual(
    result.tasks.map(({ task, n }) => [task, n]),
    [
      ["first", 300],
      ["second", 300],
    ],
  );
  assert.ok(result.leaveOneOut.every(({ interval }) => interval[0] > 0));
  // What helps the first task harms the second: the sets of one do not help the other.
  const apart = new PlantedScorer({
    seed: 4,
    ...two,
    shift: (head, task) => (head % 7 === 0 ? (task === 0 ? [-0.2, 0.2] : [0.2, -0.2]) : null),
  });
  const opposed = await search(apart, { seed: 4, tasks: ["first", "second"] });
  assert.ok(opposed.result.leaveOneOut.every(({ interval }) => interval[0] <= 0));
});

test("a set that surely harms one of the tasks is left off, whatever the others gain", async () => {
  const shift = (head: number, task: number) => (head % 4 === 0 ? (task === 0 ? [-0.3, 0.3] : [0.12, -0.12]) : null);
  const { result } = await search(new PlantedScorer({ seed: 5, ...two, shift, spread: 0.01 }), { seed: 5, tasks: ["first", "second"] });
  const harmed = result.tasks.filter(({ interval }) => interval[1] < 0);
  assert.equal(result.helps, result.tasks.length === 2 && harmed.length === 0 && (result.confirmed?.interval[0] ?? 0) > 0);
});

test("a gain that is a moved bias is named as one", async () => {
  // Only the difference of the two answers is moved, by the same on every prompt.
  const scorer = new PlantedScorer({
    seed: 6,
    items: 1000,
    bias: [1.5, -1.5],
    spread: 0,
    live: 1,
    shift: (head) => (head % 5 === 0 ? [-0.1, 0.1] : null),
  });
  const { result } = await search(scorer, { seed: 6, tasks: ["biased"] });
  assert.ok(result.helps, result.verdict);
  assert.equal(result.biasFree?.measure, "AUC");
  assert.match(result.verdict, /a shift between the labels: batch calibration, which needs no heads, gives \d+\.\d/);
  assert.ok(result.rivals.some(({ name }) => name === "set + batch calibration"));
});

test("progress: estimated effects of all heads come first, and the time left is of the work left", async () => {
  const { scorer } = helpful(7, { items: 1000 });
  const { progress, records } = await search(scorer, { seed: 7 });
  const first = progress.findIndex(({ heads }) => heads.length === scorer.eligible.length);
  assert.ok(first >= 0 && (progress[first]?.forwardPasses ?? 0) < 30);
  assert.ok(records.findIndex(({ type }) => type === "slopes") < 2);
  assert.deepEqual([...new Set(progress.map(({ part }) => part))], ["baseline", "choose", "validate", "confirm"]);
  assert.ok(progress.every(({ done, total, secondsLeft }) => done <= total && (secondsLeft ?? 0) >= 0));
  assert.ok((progress.at(-1)?.secondsLeft ?? 0) <= 0.2 * Math.max(...progress.map(({ secondsLeft }) => secondsLeft ?? 0)));
});

test("Adam stays inside 0 to 2 and decays what has no slope", () => {
  const adam = new Adam(3, { rate: 0.2, decay: 0.5 });
  for (let i = 0; i < 50; i++) adam.step([1, -1, 0]);
  const [strengthened = 0, weakened = 1, off] = adam.betas;
  assert.ok(strengthened > 1.5 && strengthened <= 2 && weakened < 0.5 && weakened >= 0 && off === 1);
});

test("a union takes the mean of the strengths that are on", () => {
  assert.deepEqual(
    union([
      [0.2, 1, 1.5, 1],
      [0.4, 0.5, 1, 1],
    ]),
    [0.3, 0.5, 1.5, 1],
  );
});
