import assert from "node:assert/strict";
import { test } from "node:test";
import { bestStrength, generatedResult, meanOf, rivalResults, taskResult } from "./evaluate.js";
import { type EvaluationRecord, type ItemRecord, keyOf, type TrainingRecord } from "./records.js";
import { evaluationHtml, evaluationMarkdown, evaluationSvg } from "./report.js";

const item = (id: number, off: boolean, on: boolean, repeat = 0): ItemRecord => ({
  type: "item",
  task: "sst2",
  repeat,
  id: `${id}`,
  label: 0,
  tokens: 10,
  off: { right: off, scores: off ? [1, 0] : [0, 1] },
  on: { right: on, scores: on ? [1, 0] : [0, 1] },
});
const shape = { name: "sst2", kind: "classification" as const, shots: 0 };

test("accuracy, paired difference, exact p; skipped prompts are counted and left out of n", () => {
  const records: EvaluationRecord[] = [
    ...Array.from({ length: 6 }, (_, i) => item(i, false, true)),
    ...Array.from({ length: 4 }, (_, i) => item(10 + i, true, true)),
    { type: "skipped", task: "sst2", repeat: 0, id: "99", tokens: 9999 },
    { ...item(1, true, false), task: "other" },
  ];
  const result = taskResult(shape, records, 1);
  assert.deepEqual([result.n, result.baseline, result.calibrated, result.difference, result.skipped], [10, 0.4, 1, 0.6, 1]);
  assert.ok(Math.abs(result.p - 2 / 64) < 1e-9);
  assert.ok(result.interval[0] > 0 && result.interval[1] < 1);
  assert.equal(result.letters, undefined);
});

test("repeats of one item count once in n, and their accuracies are averaged", () => {
  const records = [0, 1, 2].flatMap((repeat) => [item(1, repeat === 0, true, repeat), item(2, false, false, repeat)]);
  const result = taskResult({ ...shape, shots: 3 }, records, 1);
  assert.equal(result.n, 2);
  assert.ok(Math.abs(result.baseline - 1 / 6) < 1e-12);
  assert.ok(Math.abs(result.calibrated - 1 / 2) < 1e-12);
});

test("multiple choice: the letters variant stands beside the published one", () => {
  const records: EvaluationRecord[] = [
    { ...item(1, true, true), off: { right: false, scores: [3, 1], written: " A" }, on: { right: false, scores: [0, 1], written: " B" } },
  ];
  const result = taskResult({ ...shape, kind: "multiple-choice" }, records, 1);
  assert.equal(result.baseline, 0);
  assert.deepEqual([result.letters?.baseline, result.letters?.calibrated], [1, 0]);
});

test("contextual calibration divides by what content-free inputs get", () => {
  // The model always leans to answer 1; relative to that lean, answer 0 gained.
  const records: EvaluationRecord[] = [
    { ...item(1, false, false), off: { right: false, scores: [1, 2] }, on: { right: false, scores: [0, 3] } },
    { type: "content-free", task: "sst2", repeat: 0, off: [[0, 3]], on: [[0, 2]] },
  ];
  assert.deepEqual(taskResult(shape, records, 1).contextual, { baseline: 1, calibrated: 0 });
});

const base64 = (values: number[]) => Buffer.from(Float32Array.from(values).buffer).toString("base64");

/** A model that always leans to answer 0 by 4, and knows the answer by 2; the set takes the lean away, and nothing else. */
function leaning(count: number, repeat = 0): EvaluationRecord[] {
  return Array.from({ length: count }, (_, i): EvaluationRecord[] => {
    const label = i % 2;
    const scores = (lean: number) => [lean + (label === 0 ? 2 : 0), label === 1 ? 2 : 0];
    const off = { right: label === 0, scores: scores(4) };
    const on = { right: true, scores: scores(0) };
    const judged: ItemRecord = {
      ...item(i, false, false, repeat),
      label,
      off,
      on,
      rivals: { random: [scores(4), scores(0)], zeroTuning: scores(-9) },
    };
    const zeroTuning = [scores(-9), scores(4)];
    const training: TrainingRecord = {
      type: "training",
      task: "sst2",
      repeat,
      id: `t${i}`,
      label,
      off: off.scores,
      on: on.scores,
      zeroTuning,
    };
    const hidden = (id: string) => ({ type: "hidden" as const, task: "sst2", repeat, id, state: base64([label === 0 ? 1 : -1, 0.5]) });
    return [judged, training, hidden(`${i}`), hidden(`t${i}`)];
  }).flat();
}

test("rivals stand beside the set on the same prompts, each against no heads; a set that moves a bias is known by the measure without bias", async () => {
  const { rivals = [], biasFree } = await rivalResults("sst2", leaning(40), 1, async () => {});
  const found = Object.fromEntries(rivals.map(({ name, n, accuracy, difference }) => [name, [n, accuracy, difference]]));
  assert.deepEqual(found, {
    "batch calibration": [40, 1, 0.5],
    affine: [40, 1, 0.5],
    "set + batch calibration": [40, 1, 0.5],
    "set + affine": [40, 1, 0.5],
    "linear probe": [40, 1, 0.5],
    "random sets (mean of 2)": [40, 0.75, 0.25],
    "ZeroTuning (one strength for all heads)": [40, 0.5, 0],
  });
  for (const { interval, difference } of rivals) assert.ok(interval[0] <= difference && difference <= interval[1]);
  assert.deepEqual([biasFree?.measure, biasFree?.baseline, biasFree?.calibrated], ["AUC", 1, 1]);
});

test("ZeroTuning tuned by head is called so", async () => {
  const tuned: EvaluationRecord = { type: "tuned", task: "sst2", repeat: 0, betas: [1, 0.5] };
  const { rivals = [] } = await rivalResults("sst2", [...leaning(20), tuned], 1, async () => {});
  assert.equal(rivals.at(-1)?.name, "ZeroTuning");
});

test("few-shot repeats fit apart and count an item once", async () => {
  const { rivals = [] } = await rivalResults("sst2", [...leaning(30), ...leaning(30, 1)], 1, async () => {});
  assert.ok(rivals.every(({ n }) => n === 30));
  assert.equal(rivals.find(({ name }) => name === "affine")?.accuracy, 1);
});

test("without a set there are no rivals of it", async () => {
  const records = leaning(20).map((record): EvaluationRecord => {
    if (record.type === "training") return { ...record, on: null };
    return record.type === "item" ? { ...record, on: record.off, rivals: { random: [], zeroTuning: [1, 0] } } : record;
  });
  const { rivals = [], biasFree } = await rivalResults("sst2", records, 1, async () => {});
  assert.equal(biasFree, undefined);
  assert.deepEqual(
    rivals.map(({ name }) => name),
    ["batch calibration", "affine", "linear probe", "ZeroTuning (one strength for all heads)"],
  );
});

test("the strength of ZeroTuning is chosen on training prompts", () => {
  const training = leaning(10).filter((record): record is TrainingRecord => record.type === "training");
  assert.equal(bestStrength(training), 0);
  assert.equal(bestStrength(training.map((record) => ({ ...record, zeroTuning: [[0, 1], record.label === 0 ? [1, 0] : [0, 1]] }))), 1);
});

test("a prompt that was skipped is not evaluated by a run that goes on", () => {
  const about = { task: "sst2", repeat: 0, id: "7" };
  assert.equal(keyOf({ type: "skipped", ...about }), keyOf({ type: "item", ...about }));
  assert.notEqual(keyOf({ type: "training", ...about }), keyOf({ type: "item", ...about }));
});

test("answers that were generated count where all their instructions are followed, and the instructions by themselves", () => {
  const answer = (...followed: boolean[]) => ({ text: "x", right: followed.every(Boolean), followed });
  const records = [
    { off: answer(true, false), on: answer(true, true) },
    { off: answer(true), on: answer(false) },
    { off: answer(false), on: answer(true) },
  ].map((arms, i): EvaluationRecord => ({ type: "generated", task: "ifeval", repeat: 0, id: `${i}`, ...arms }));
  const { n, baseline, calibrated, instructions } = generatedResult("ifeval", records);
  assert.deepEqual([n, baseline, calibrated, instructions], [3, 1 / 3, 2 / 3, { baseline: 0.5, calibrated: 0.75 }]);
});

test("reports hold every task, and nothing of a name is taken for markup", () => {
  const task = { ...taskResult(shape, [item(1, false, true)], 1), name: 'x<script>"&' };
  const result = { tasks: [task], mean: meanOf([task]), record: { seed: 1 } };
  for (const text of [evaluationSvg(result, "<t>"), evaluationHtml(result, "<t>")]) {
    assert.ok(!text.includes("<script>") && !text.includes("<t>"));
    assert.ok(text.includes("x&#60;script&#62;"));
  }
  assert.match(evaluationMarkdown(result), /\| mean \| {2}\| {2}\| 0\.0 \| 100\.0 \| \+100\.0 \|/);
});
