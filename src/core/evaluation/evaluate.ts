/** Results of an evaluation from its per-item records: accuracies, paired differences, named variants. */
import type { EvaluateResult, TaskResult } from "../../protocol/engine.js";
import { compareAccuracy, compareMeans, type PairedComparison } from "../numbers/paired.js";
import { contextualChoice } from "../search/confirm.js";

/** What one prompt got without and with the head set. */
export interface ItemRecord {
  type: "item";
  task: string;
  /** Which few-shot repeat; 0 in zero-shot. */
  repeat: number;
  id: string;
  label: number;
  tokens: number;
  off: Answer;
  on: Answer;
}

export interface Answer {
  /** Right in the published scoring. */
  right: boolean;
  /** Logits of the label words or letters. */
  scores: number[];
  /** Multiple choice: the greedy token's text. */
  written?: string;
}

/** Scores of content-free inputs, for contextual calibration. */
export interface ContentFreeRecord {
  type: "content-free";
  task: string;
  repeat: number;
  off: number[][];
  on: number[][];
}

/** A prompt that did not fit one segment: counted, never cut. */
export interface SkippedRecord {
  type: "skipped";
  task: string;
  repeat: number;
  id: string;
  tokens: number;
}

export type EvaluationRecord = ItemRecord | ContentFreeRecord | SkippedRecord;

/** Index of the highest score; the first wins a tie, as argmax does. */
export function argmax(scores: readonly number[]): number {
  return scores.indexOf(Math.max(...scores));
}

type Verdict = (record: ItemRecord, arm: "off" | "on") => boolean;
const published: Verdict = (record, arm) => record[arm].right;
const letters: Verdict = (record, arm) => argmax(record[arm].scores) === record.label;

/**
 * Accuracy over all records of a task, the interval and p over its items: repeats of one item share its difficulty, so an item's repeats are
 * averaged first and count once.
 */
function compare(records: readonly ItemRecord[], verdict: Verdict, seed: number): PairedComparison {
  const byItem = new Map<string, ItemRecord[]>();
  for (const record of records) byItem.set(record.id, [...(byItem.get(record.id) ?? []), record]);
  const groups = [...byItem.values()];
  if (groups.every((group) => group.length === 1)) {
    const flat = groups.map(([record]) => record as ItemRecord);
    return compareAccuracy(
      flat.map((record) => verdict(record, "off")),
      flat.map((record) => verdict(record, "on")),
    );
  }
  const mean = (group: readonly ItemRecord[], arm: "off" | "on") => group.filter((record) => verdict(record, arm)).length / group.length;
  return compareMeans(
    groups.map((group) => mean(group, "off")),
    groups.map((group) => mean(group, "on")),
    seed,
  );
}

export interface TaskShape {
  name: string;
  kind: "classification" | "multiple-choice";
  shots: number;
}

export function taskResult({ name, kind, shots }: TaskShape, all: readonly EvaluationRecord[], seed: number): TaskResult {
  const own = all.filter(({ task }) => task === name);
  const records = own.filter((record): record is ItemRecord => record.type === "item");
  const { n, baseline, calibrated, difference, interval, p } = compare(records, published, seed);
  const result: TaskResult = {
    name,
    n,
    shots,
    baseline,
    calibrated,
    difference,
    interval,
    p,
    skipped: own.filter(({ type }) => type === "skipped").length,
  };
  if (kind === "multiple-choice") {
    const byLetters = compare(records, letters, seed);
    result.letters = {
      baseline: byLetters.baseline,
      calibrated: byLetters.calibrated,
      difference: byLetters.difference,
      interval: byLetters.interval,
      p: byLetters.p,
    };
  }
  const free = new Map(
    own.filter((record): record is ContentFreeRecord => record.type === "content-free").map((record) => [record.repeat, record]),
  );
  if (free.size > 0) {
    const contextual: Verdict = (record, arm) =>
      contextualChoice(record[arm].scores, free.get(record.repeat)?.[arm] ?? []) === record.label;
    const both = compare(records, contextual, seed);
    result.contextual = { baseline: both.baseline, calibrated: both.calibrated };
  }
  return result;
}

export function meanOf(tasks: readonly TaskResult[]): EvaluateResult["mean"] {
  const mean = (pick: (task: TaskResult) => number) =>
    tasks.length === 0 ? 0 : tasks.reduce((sum, task) => sum + pick(task), 0) / tasks.length;
  return {
    baseline: mean((task) => task.baseline),
    calibrated: mean((task) => task.calibrated),
    difference: mean((task) => task.difference),
  };
}
