/** The rivals by name, fitted on labelled rows that nothing is judged on, and what of a gain is more than a moved bias. */
import { compareAuc } from "../numbers/auc.js";
import { compareAccuracy, type Interval } from "../numbers/paired.js";
import { argmax } from "../numbers/scores.js";
import { batchCalibration, fitAffine, fitProbe, type Row, type Rule } from "./rules.js";

/** Names under which rivals stand in tables, panels and JSON. */
export const RIVAL_NAMES = {
  batch: "batch calibration",
  affine: "affine",
  setBatch: "set + batch calibration",
  setAffine: "set + affine",
  probe: "linear probe",
  random: "random sets",
  zeroTuning: "ZeroTuning",
} as const;

/** Which evaluation of a prompt a rival reads: without heads, or with the set. */
export type ArmName = "off" | "on";

export interface Rival {
  name: string;
  arm: ArmName;
  rule: Rule;
  /** The rule reads the hidden state, not the scores. */
  needsHidden: boolean;
}

/**
 * Fits the rivals on training rows in random order: the same prompts without heads and, where there is a set, with it. The linear probe is among
 * them where the rows hold hidden states. `rest` is called now and then, so that long fits let others in.
 */
export async function fitRivals(
  training: { off: readonly Row[]; on?: readonly Row[] | undefined },
  rest?: () => Promise<void>,
): Promise<Rival[]> {
  const { off, on } = training;
  const rivals: Rival[] = [
    { name: RIVAL_NAMES.batch, arm: "off", rule: batchCalibration(off), needsHidden: false },
    { name: RIVAL_NAMES.affine, arm: "off", rule: await fitAffine(off, rest), needsHidden: false },
  ];
  if (on)
    rivals.push(
      { name: RIVAL_NAMES.setBatch, arm: "on", rule: batchCalibration(on), needsHidden: false },
      { name: RIVAL_NAMES.setAffine, arm: "on", rule: await fitAffine(on, rest), needsHidden: false },
    );
  if (off.every(({ hidden }) => hidden))
    rivals.push({ name: RIVAL_NAMES.probe, arm: "off", rule: await fitProbe(off, rest), needsHidden: true });
  return rivals;
}

/** Whether the rule's answer is the right one. */
export function isRight(rule: Rule, row: Row): boolean {
  return argmax(rule(row)) === row.label;
}

export interface BiasFree {
  /** Two labels: area under the ROC curve of the scores' difference; more: accuracy after batch calibration over these same prompts. */
  measure: "AUC" | "accuracy after batch calibration";
  baseline: number;
  calibrated: number;
  difference: number;
  interval: Interval;
}

/** What is left of the difference when every shift between labels is taken out; null where one of two labels does not occur. */
export function compareBiasFree(off: readonly Row[], on: readonly Row[]): BiasFree | null {
  if (off.every(({ scores }) => scores.length === 2)) {
    const lean = ({ scores }: Row) => (scores[1] as number) - (scores[0] as number);
    const positive = off.map(({ label }) => label === 1);
    if (new Set(positive).size < 2) return null;
    return { measure: "AUC", ...compareAuc(off.map(lean), on.map(lean), positive) };
  }
  const before = batchCalibration(off);
  const after = batchCalibration(on);
  const { baseline, calibrated, difference, interval } = compareAccuracy(
    off.map((row) => isRight(before, row)),
    on.map((row) => isRight(after, row)),
  );
  return { measure: "accuracy after batch calibration", baseline, calibrated, difference, interval };
}
