/** Results of an evaluation from its per-item records: accuracies, paired differences, named variants, rivals. */
import type { EvaluateResult, RivalResult, TaskResult } from "../../protocol/engine.js";
import { compareAccuracy, compareMeans, type PairedComparison } from "../numbers/paired.js";
import { argmax } from "../numbers/scores.js";
import { compareBiasFree, fitRivals, isRight, RIVAL_NAMES } from "../rivals/rivals.js";
import { contextualCalibration, plain, type Row, type Rule } from "../rivals/rules.js";
import type { ContentFreeRecord, EvaluationRecord, HiddenRecord, ItemRecord, TrainingRecord } from "./records.js";

type Arm = "off" | "on";
type Verdict = (record: ItemRecord, arm: Arm) => boolean;
const published: Verdict = (record, arm) => record[arm].right;
const letters: Verdict = (record, arm) => argmax(record[arm].scores) === record.label;

/**
 * Accuracy over all records of a task, the interval and p over its items: repeats of one item share its difficulty, so an item's repeats are
 * averaged first and count once. `before` and `after` answer the share of right answers of a record.
 */
function comparePairs(
  records: readonly ItemRecord[],
  before: (record: ItemRecord) => number,
  after: (record: ItemRecord) => number,
  seed: number,
): PairedComparison {
  const byItem = new Map<string, ItemRecord[]>();
  for (const record of records) byItem.set(record.id, [...(byItem.get(record.id) ?? []), record]);
  const groups = [...byItem.values()];
  const mean = (group: readonly ItemRecord[], value: (record: ItemRecord) => number) =>
    group.reduce((sum, record) => sum + value(record), 0) / group.length;
  const [off, on] = [groups.map((group) => mean(group, before)), groups.map((group) => mean(group, after))];
  if ([...off, ...on].every((value) => value === 0 || value === 1))
    return compareAccuracy(
      off.map((value) => value === 1),
      on.map((value) => value === 1),
    );
  return compareMeans(off, on, seed);
}

function compare(records: readonly ItemRecord[], verdict: Verdict, seed: number): PairedComparison {
  const share = (arm: Arm) => (record: ItemRecord) => (verdict(record, arm) ? 1 : 0);
  return comparePairs(records, share("off"), share("on"), seed);
}

export interface TaskShape {
  name: string;
  kind: "classification" | "multiple-choice";
  shots: number;
}

function of<T extends EvaluationRecord["type"]>(
  all: readonly EvaluationRecord[],
  task: string,
  type: T,
): Extract<EvaluationRecord, { type: T }>[] {
  return all.filter((record): record is Extract<EvaluationRecord, { type: T }> => record.task === task && record.type === type);
}

export function taskResult({ name, kind, shots }: TaskShape, all: readonly EvaluationRecord[], seed: number): TaskResult {
  const records = of(all, name, "item");
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
    skipped: of(all, name, "skipped").length,
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
  const free = new Map(of(all, name, "content-free").map((record) => [record.repeat, contextualRules(record)]));
  if (free.size > 0) {
    const contextual: Verdict = (record, arm) => isRight(free.get(record.repeat)?.[arm] ?? plain, rowOf(record, arm));
    const both = compare(records, contextual, seed);
    result.contextual = { baseline: both.baseline, calibrated: both.calibrated };
  }
  return result;
}

function contextualRules({ off, on }: ContentFreeRecord): Record<Arm, Rule> {
  return { off: contextualCalibration(off), on: contextualCalibration(on) };
}

function rowOf({ label, ...arms }: ItemRecord, arm: Arm, hidden?: Float32Array): Row {
  return { scores: arms[arm].scores, label, ...(hidden && { hidden }) };
}

/**
 * The rivals on the same prompts, each against the model without heads and without a rule (its answer by label words or letters). Fitted on the
 * training records, apart for each few-shot repeat.
 */
export async function rivalResults(
  name: string,
  all: readonly EvaluationRecord[],
  seed: number,
  rest: () => Promise<void>,
): Promise<Pick<TaskResult, "rivals" | "biasFree">> {
  const records = of(all, name, "item");
  const hidden = new Map(of(all, name, "hidden").map((record) => [`${record.repeat} ${record.id}`, stateOf(record)]));
  const stateFor = ({ repeat, id }: { repeat: number; id: string }) => hidden.get(`${repeat} ${id}`);
  /** Rival -> record -> whether it is right there. */
  const right = new Map<string, Map<ItemRecord, boolean>>();
  const training = of(all, name, "training");
  for (const repeat of new Set(records.map((record) => record.repeat))) {
    const own = training.filter((record) => record.repeat === repeat);
    for (const { name: rival, arm, rule } of await fitRivals(trainingRows(own, stateFor), rest)) {
      const verdicts = right.get(rival) ?? new Map<ItemRecord, boolean>();
      for (const record of records) if (record.repeat === repeat) verdicts.set(record, isRight(rule, rowOf(record, arm, stateFor(record))));
      right.set(rival, verdicts);
    }
  }
  const off = (record: ItemRecord) => (letters(record, "off") ? 1 : 0);
  const result = (rival: string, share: (record: ItemRecord) => number): RivalResult => {
    const { n, calibrated: accuracy, difference, interval, p } = comparePairs(records, off, share, seed);
    return { name: rival, n, accuracy, difference, interval, p };
  };
  const rivals = [...right].map(([rival, verdicts]) => result(rival, (record) => (verdicts.get(record) ? 1 : 0)));
  const sets = records[0]?.rivals?.random.length ?? 0;
  const correct = (scores: readonly number[], { label }: ItemRecord) => (argmax(scores) === label ? 1 : 0);
  if (sets > 0)
    rivals.push(
      result(
        `${RIVAL_NAMES.random} (mean of ${sets})`,
        (record) => (record.rivals?.random ?? []).reduce((sum, scores) => sum + correct(scores, record), 0) / sets,
      ),
    );
  // Where the model has no gradient it is a lesser rival, and called so.
  const byHead = of(all, name, "tuned").some(({ betas }) => betas !== null);
  const zeroTuning = `${RIVAL_NAMES.zeroTuning}${byHead ? "" : " (one strength for all heads)"}`;
  rivals.push(result(zeroTuning, (record) => correct(record.rivals?.zeroTuning ?? [], record)));
  const first = training[0]?.on ? records.filter(({ repeat }) => repeat === 0) : [];
  const rows = (arm: Arm) => first.map((record) => rowOf(record, arm));
  const biasFree = first.length > 0 && compareBiasFree(rows("off"), rows("on"));
  return { rivals, ...(biasFree && { biasFree }) };
}

function trainingRows(records: readonly TrainingRecord[], stateFor: (record: TrainingRecord) => Float32Array | undefined) {
  const row = (record: TrainingRecord, scores: number[]): Row => {
    const hidden = stateFor(record);
    return { scores, label: record.label, ...(hidden && { hidden }) };
  };
  return {
    off: records.map((record) => row(record, record.off)),
    on: records[0]?.on ? records.map((record) => row(record, record.on ?? [])) : undefined,
  };
}

function stateOf({ state }: HiddenRecord): Float32Array {
  const bytes = Uint8Array.from(atob(state), (character) => character.charCodeAt(0));
  return new Float32Array(bytes.buffer);
}

/** The strength, as its index, under which most training prompts are right; the first wins a tie. */
export function bestStrength(training: readonly TrainingRecord[]): number {
  const strengths = training[0]?.zeroTuning.length ?? 0;
  return argmax(
    Array.from({ length: strengths }, (_, s) => training.filter(({ zeroTuning, label }) => argmax(zeroTuning[s] ?? []) === label).length),
  );
}

/** Share of right answers of a task that is answered by generating; `ifeval`: also the share of all its instructions that are followed. */
export function generatedResult(name: string, all: readonly EvaluationRecord[]): TaskResult {
  const records = of(all, name, "generated");
  const right = (arm: Arm) => records.map((record) => record[arm].right);
  const result: TaskResult = { name, shots: 0, skipped: of(all, name, "skipped").length, ...compareAccuracy(right("off"), right("on")) };
  const followed = (arm: Arm) => records.flatMap((record) => record[arm].followed ?? []);
  const share = (verdicts: readonly boolean[]) => verdicts.filter(Boolean).length / verdicts.length;
  if (followed("off").length > 0) result.instructions = { baseline: share(followed("off")), calibrated: share(followed("on")) };
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
