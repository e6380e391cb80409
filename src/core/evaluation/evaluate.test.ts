import assert from "node:assert/strict";
import { test } from "node:test";
import { type EvaluationRecord, type ItemRecord, meanOf, taskResult } from "./evaluate.js";
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

test("reports hold every task, and nothing of a name is taken for markup", () => {
  const task = { ...taskResult(shape, [item(1, false, true)], 1), name: 'x<script>"&' };
  const result = { tasks: [task], mean: meanOf([task]), record: { seed: 1 } };
  for (const text of [evaluationSvg(result, "<t>"), evaluationHtml(result, "<t>")]) {
    assert.ok(!text.includes("<script>") && !text.includes("<t>"));
    assert.ok(text.includes("x&#60;script&#62;"));
  }
  assert.match(evaluationMarkdown(result), /\| mean \| {2}\| {2}\| 0\.0 \| 100\.0 \| \+100\.0 \|/);
});
