/** The last part: the winner against no heads and the rivals, on prompts that nothing was chosen on. */
import { compareAccuracy, type PairedComparison, smallestGain, summarize } from "../../numbers/paired.js";
import { type BiasFree, compareBiasFree, fitRivals, isRight, RIVAL_NAMES } from "../../rivals/rivals.js";
import { contextualCalibration, type Row } from "../../rivals/rules.js";
import type { SearchEvent } from "../events.js";
import type { Memory } from "../facts.js";
import type { Run } from "../run.js";
import type { HeadSetting, Variant } from "../scorer.js";
import { candidateOf, union } from "../tuning/tuned.js";
import { type Arm, type ArmResult, beatsConstant, type Candidate, compareArm, constantAnswer, randomArms } from "./arms.js";
import { noCandidate, sentence } from "./verdict.js";

/** Rivals that cost an evaluation of their own are compared on this many of the prompts. */
const RIVAL_PROMPTS = 200;

/** One task's part of the confirmation. */
export interface TaskRow extends PairedComparison {
  task: string;
}

export interface Confirmed {
  helps: boolean;
  verdict: string;
  /** The winner against no heads; null where no candidate reached the confirmation (the rivals may have been compared all the same). */
  confirmed: ArmResult | null;
  rivals: ArmResult[];
  /** Where there are several tasks: each with its own baseline. */
  tasks: TaskRow[];
  /** Each task under the union of the other tasks' sets, which never saw it. */
  leaveOneOut: TaskRow[];
  biasFree: BiasFree | null;
  /** Smallest gain that the confirmation would have shown four times in five. */
  smallestGain: number | null;
}

export async function* confirmWinner(
  run: Run,
  winner: Candidate | null,
  single: readonly number[][],
): AsyncGenerator<SearchEvent, Confirmed> {
  const { memory, parts, options, progress } = run;
  const { confirm } = parts;
  const { metric } = memory.scorer;
  memory.stage = "confirm";
  progress.begin("confirm");
  if (!winner) {
    // Nobody waits for comparisons that switch nothing on while writing code; for a task they are half of the answer.
    const rivals = metric === "accuracy" ? yield* compareRivals(run, null) : [];
    const nothing = { tasks: [], leaveOneOut: [], biasFree: null, smallestGain: null };
    return { helps: false, verdict: noCandidate(parts.validate.length), confirmed: null, rivals, ...nothing };
  }
  // The winner comes first: whatever is cut short afterwards, its own comparison is complete.
  const chosen: Arm = { ...winner, name: "chosen set" };
  yield* run.evaluate("confirm", [chosen], confirm);
  const confirmed = compareArm(memory, chosen, confirm, options.seed);
  const { difference, interval } = confirmed;
  progress.best = { name: winner.name, heads: winner.heads.length, difference, interval, items: confirm.length };
  progress.begin("rivals");
  const leaveOneOut = yield* leaveOneTaskOut(run, single);
  const rivals = yield* compareRivals(run, chosen);
  const constant = constantAnswer(memory, confirm);
  const tasks = taskRows(run, () => chosen);
  const harmed = tasks.filter((row) => row.interval[1] < 0).map(({ task }) => task);
  const beats = !constant || beatsConstant(memory, chosen, confirm, constant.right);
  const helps = interval[0] > 0 && beats && harmed.length === 0;
  const biasFree = (options.tasks?.length ?? 1) === 1 ? biasFreeOf(memory, chosen, confirm) : null;
  const least = smallestGain(changes(memory, chosen, confirm));
  const batch = rivals.find(({ name }) => name === RIVAL_NAMES.batch)?.calibrated;
  const bias = biasFree && batch !== undefined ? { only: biasFree.interval[0] <= 0, batch } : undefined;
  const verdict = sentence({ metric, confirmed, helps, constant: beats ? undefined : constant?.rival, harmed, smallestGain: least, bias });
  return { helps, verdict, confirmed, rivals, tasks, leaveOneOut, biasFree, smallestGain: least };
}

/** Change of each item's metric by a set. */
function changes(memory: Memory, { heads, variant }: HeadSetting, items: readonly number[]): number[] {
  const value = (outcome: { correct: boolean; logProbability: number }) =>
    memory.scorer.metric === "accuracy" ? Number(outcome.correct) : outcome.logProbability;
  return items.map((item) => value(memory.outcomeOf(item, heads, variant) ?? memory.baselineOf(item)) - value(memory.baselineOf(item)));
}

/** The confirmation by task, where there are several. @param armOf the set that a task is judged under */
function taskRows({ memory, parts, options }: Run, armOf: (task: number) => Arm): TaskRow[] {
  const { tasks = [] } = options;
  if (tasks.length < 2) return [];
  return tasks.map((name, task) => {
    const own = parts.confirm.filter((item) => memory.scorer.task(item) === task);
    const { name: _, heads: __, ...comparison } = compareArm(memory, armOf(task), own, options.seed);
    return { task: name, ...comparison };
  });
}

/** A union of sets is judged on the task that had no part in it. */
async function* leaveOneTaskOut(run: Run, single: readonly number[][]): AsyncGenerator<SearchEvent, TaskRow[]> {
  if (single.length < 2 || (yield* run.late("leave one out", 0.9))) return [];
  const { memory, parts } = run;
  const arms = single.map((_, task) =>
    candidateOf("union of the other tasks' sets", memory, union(single.filter((__, other) => other !== task))),
  );
  for (const [task, arm] of arms.entries())
    yield* run.evaluate(
      "confirm",
      [arm],
      parts.confirm.filter((item) => memory.scorer.task(item) === task),
    );
  return taskRows(run, (task) => arms[task] as Candidate);
}

/** The other arms of the confirmation, each against no heads, as far as the time goes. */
async function* compareRivals(run: Run, chosen: Arm | null): AsyncGenerator<SearchEvent, ArmResult[]> {
  const { memory, parts, options, plan } = run;
  const { eligible } = memory.scorer;
  const some = parts.confirm.slice(0, RIVAL_PROMPTS);
  const rivals = memory.scorer.metric === "accuracy" ? yield* fittedRivals(run, chosen) : [];
  const arms: Arm[] = [
    // Random sets as large as all heads would be all heads.
    ...(chosen && chosen.heads.length < eligible.length ? randomArms(eligible, chosen, plan.random, options.seed) : []),
    { name: "all eligible heads", heads: eligible },
  ];
  for (const arm of arms) {
    if (yield* run.late(arm.name, 0.9)) break;
    yield* run.evaluate("confirm", [arm], some);
    rivals.push(compareArm(memory, arm, some, options.seed));
  }
  yield* contextual(run, chosen, rivals);
  const constant = rivals.length > 0 ? constantAnswer(memory, parts.confirm) : null;
  if (constant) rivals.push(constant.rival);
  if (!(yield* run.late("ZeroTuning", 0.8))) yield* zeroTuning(run, some, rivals);
  return rivals;
}

/** Rows of an arm for the fitted rivals; items without a label or answers have none. */
function rowsOf(memory: Memory, arm: HeadSetting, items: readonly number[]): Row[] {
  return items.map((item) => ({
    scores: memory.outcomeOf(item, arm.heads, arm.variant)?.answers ?? [],
    label: memory.scorer.label(item) as number,
  }));
}

/** Batch calibration and the affine correction, alone and with the set, fitted by task on the prompts that the set was found on. */
async function* fittedRivals(run: Run, chosen: Arm | null): AsyncGenerator<SearchEvent, ArmResult[]> {
  const { memory, parts, options } = run;
  const training = [...parts.choose, ...parts.validate];
  yield* run.evaluate("confirm", chosen ? [chosen] : [], training);
  yield* run.evaluate("confirm", [], parts.confirm);
  const right = new Map<string, { heads: number; right: boolean[]; before: boolean[] }>();
  for (const [task] of (options.tasks ?? [""]).entries()) {
    const own = (items: readonly number[]) => items.filter((item) => memory.scorer.task(item) === task);
    const rows = (arm: HeadSetting, items: readonly number[]) => rowsOf(memory, arm, own(items));
    const off: HeadSetting = { heads: [] };
    const fitted = await fitRivals({ off: rows(off, training), ...(chosen ? { on: rows(chosen, training) } : {}) });
    const judged = { off: rows(off, parts.confirm), on: chosen ? rows(chosen, parts.confirm) : [] };
    const before = own(parts.confirm).map((item) => memory.baselineOf(item).correct);
    for (const { name, arm, rule } of fitted) {
      const known = right.get(name) ?? { heads: arm === "on" ? (chosen?.heads.length ?? 0) : 0, right: [], before: [] };
      known.right.push(...judged[arm].map((row) => isRight(rule, row)));
      known.before.push(...before);
      right.set(name, known);
    }
    yield { type: "pause" };
  }
  return [...right].map(([name, one]) => ({ ...compareAccuracy(one.before, one.right), name, heads: one.heads }));
}

function biasFreeOf(memory: Memory, chosen: Arm, items: readonly number[]): BiasFree | null {
  if (memory.scorer.metric !== "accuracy") return null;
  return compareBiasFree(rowsOf(memory, { heads: [] }, items), rowsOf(memory, chosen, items));
}

/** Contextual calibration costs a pass for each input without content, so it is compared whatever the time. */
async function* contextual(run: Run, chosen: Arm | null, rivals: ArmResult[]): AsyncGenerator<SearchEvent> {
  const { memory, parts, options } = run;
  const { contentFree = [] } = options;
  if (contentFree.length === 0) return;
  yield* run.evaluate("confirm", chosen ? [chosen] : [], [...contentFree, ...parts.confirm]);
  const before = parts.confirm.map((item) => memory.baselineOf(item).correct);
  for (const arm of [
    { name: "contextual calibration alone", heads: [] },
    ...(chosen ? [{ ...chosen, name: "contextual calibration with the chosen set" }] : []),
  ]) {
    const rule = contextualCalibration(rowsOf(memory, arm, contentFree).map(({ scores }) => scores));
    const after = rowsOf(memory, arm, parts.confirm).map((row) => isRight(rule, row));
    rivals.push({ ...compareAccuracy(before, after), name: arm.name, heads: arm.heads.length });
  }
}

/** ZeroTuning of all heads, its strength chosen on validation prompts. */
async function* zeroTuning(run: Run, items: readonly number[], rivals: ArmResult[]): AsyncGenerator<SearchEvent> {
  const { memory, options, parts } = run;
  const { zeroTuning: betas = [] } = options;
  if (betas.length === 0) return;
  const trial = parts.validate.slice(0, 30);
  const arms = betas.map((beta): Arm & { variant: Variant } => ({
    name: `ZeroTuning of all eligible heads, x ${beta}`,
    heads: memory.scorer.eligible,
    variant: { method: "zero-tuning", beta },
  }));
  yield* run.evaluate("confirm", arms, trial);
  const values = arms.map(
    (arm) =>
      summarize(trial.map((item) => run.judge(memory.outcomeOf(item, arm.heads, arm.variant) ?? memory.baselineOf(item), item))).mean,
  );
  const best = arms[values.indexOf(Math.max(...values))];
  if (!best) return;
  yield* run.evaluate("confirm", [best], items);
  rivals.push(compareArm(memory, best, items, options.seed));
}
