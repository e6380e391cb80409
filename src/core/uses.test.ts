import assert from "node:assert/strict";
import { test } from "node:test";
import type { Evidence, HeadSet } from "../protocol/calibration.js";
import { objection, standingOf } from "./uses.js";

const EVIDENCE: Evidence = {
  task: "sst2",
  seed: 42,
  chosenOn: 80,
  confirmedOn: 300,
  baseline: 0.66,
  calibrated: 0.78,
  difference: 0.12,
  interval: [0.07, 0.18],
  p: 0.0001,
};
const SET: Pick<HeadSet, "use" | "heads" | "on" | "evidence"> = { use: "task", heads: [[4, 7]], on: true, evidence: EVIDENCE };
const CODE = { ...EVIDENCE, task: "the files of shop", metric: "log-likelihood" as const };

test("a set helps the use that it was measured on, and no other", () => {
  assert.equal(standingOf(SET, "task"), "helps");
  assert.equal(standingOf(SET, "completions"), "no-evidence");
  assert.equal(standingOf(SET, "chat"), "no-evidence");
  assert.equal(standingOf({ ...SET, use: "completions", evidence: CODE }, "completions"), "helps");
});

test("evidence of another kind is none: a set of schema 1 from a workspace counts as task, but was measured on code", () => {
  assert.equal(standingOf({ ...SET, evidence: CODE }, "task"), "no-evidence");
  assert.equal(standingOf({ ...SET, use: "completions" }, "completions"), "no-evidence");
});

test("no evidence, no heads, nothing confirmed, an interval that holds zero, a file that says on: never on", () => {
  assert.equal(standingOf({ ...SET, evidence: undefined }, "task"), "no-evidence");
  assert.equal(standingOf({ ...SET, evidence: { ...EVIDENCE, confirmedOn: 0 } }, "task"), "no-evidence");
  assert.equal(standingOf({ ...SET, heads: [] }, "task"), "does-not-help");
  assert.equal(standingOf({ ...SET, evidence: { ...EVIDENCE, interval: [0, 0.2] } }, "task"), "does-not-help");
  assert.equal(standingOf({ ...SET, evidence: { ...EVIDENCE, interval: [-0.02, 0.2] } }, "task"), "does-not-help");
  assert.equal(standingOf({ ...SET, on: false }, "task"), "does-not-help");
});

test("sure harm in any measure of the confirmation keeps a set off", () => {
  assert.equal(standingOf({ ...SET, evidence: { ...EVIDENCE, interval: [-0.3, -0.1] } }, "task"), "harms");
  const worse = { name: "whole line", baseline: 0.4, calibrated: 0.3, difference: -0.1, interval: [-0.15, -0.05] as [number, number] };
  const code = { ...SET, use: "completions" as const, evidence: { ...CODE, measures: [worse] } };
  assert.equal(standingOf(code, "completions"), "harms");
  assert.equal(standingOf({ ...code, evidence: { ...CODE, measures: [{ ...worse, interval: [-0.15, 0.05] }] } }, "completions"), "helps");
});

test("a set that surely harms one of its tasks is kept off, however much the others gain", () => {
  const row = (task: string, difference: number, interval: [number, number]) => ({
    task,
    n: 100,
    baseline: 0.5,
    calibrated: 0.5 + difference,
    difference,
    interval,
  });
  const tasks = [row("sst2", 0.2, [0.1, 0.3]), row("CB", -0.1, [-0.16, -0.04])];
  assert.equal(standingOf({ ...SET, evidence: { ...EVIDENCE, tasks } }, "task"), "harms");
});

test("an objection says what was measured", () => {
  assert.equal(objection(SET, "task"), null);
  assert.equal(objection(SET, "chat"), "Nothing was measured about what this set does to chat. It was measured on sst2.");
  assert.match(objection({ ...SET, evidence: undefined }, "task") ?? "", /came without evidence/);
  assert.match(objection({ ...SET, on: false }, "task") ?? "", /does not surely help task prompts, .* on sst2/);
});
