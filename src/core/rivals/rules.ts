/** Simple rules that turn a model's label scores into an answer: what a head set has to be better than (calibration.md, section 7). */
import { crossValidated, fitLogistic } from "../numbers/logistic.js";
import { minimise } from "../numbers/minimise.js";
import { logSoftmax, softmax } from "../numbers/scores.js";

/** What one evaluation of a prompt gave. */
export interface Row {
  /** Score (logit) of each answer; multiple choice: as many as the prompt has choices. */
  scores: readonly number[];
  /** Index of the right answer. */
  label: number;
  /** The last hidden state of the last token. */
  hidden?: Float32Array;
}

/** Probabilities of a prompt's answers, in their order. */
export type Rule = (row: Pick<Row, "scores" | "hidden">) => number[];

type Rest = () => Promise<void>;

export const plain: Rule = ({ scores }) => softmax(scores);

/** Mean log-probability of each answer over the rows that have it. */
function meanLogProbabilities(rows: readonly Pick<Row, "scores">[]): number[] {
  const sums: number[] = [];
  const counts: number[] = [];
  for (const { scores } of rows)
    logSoftmax(scores).forEach((value, a) => {
      sums[a] = (sums[a] ?? 0) + value;
      counts[a] = (counts[a] ?? 0) + 1;
    });
  return sums.map((sum, a) => sum / (counts[a] as number));
}

/** Batch calibration (Zhou et al. 2024): log-probabilities minus their mean over unlabelled prompts. No labels are looked at. */
export function batchCalibration(unlabelled: readonly Pick<Row, "scores">[]): Rule {
  const mean = meanLogProbabilities(unlabelled);
  return ({ scores }) => softmax(logSoftmax(scores).map((value, a) => value - (mean[a] ?? 0)));
}

/**
 * Contextual calibration (Zhao et al. 2021): probabilities divided by those that content-free inputs get. `contentFree` [input][answer] holds
 * those inputs' scores; their probabilities are averaged.
 */
export function contextualCalibration(contentFree: readonly (readonly number[])[]): Rule {
  const inputs = contentFree.map((scores) => softmax(scores));
  return ({ scores }) => {
    const mean = scores.map((_, a) => inputs.reduce((sum, input) => sum + (input[a] ?? 0), 0) / inputs.length);
    return softmax(logSoftmax(scores).map((value, a) => value - Math.log(Math.max(mean[a] as number, 1e-12))));
  };
}

/** How strongly the answers' weights are held together. */
const AFFINE_STRENGTHS = [0.001, 0.01, 0.1, 1];
/** Keeps weights and biases finite where the rows can be separated. */
const FINITE = 1e-3;

/**
 * A weight and a bias for each answer's log-probability, fitted by logistic regression on labelled rows in random order. The weights are drawn
 * towards their mean, by a strength chosen in a cross-validation.
 */
export async function fitAffine(labelled: readonly Row[], rest?: Rest): Promise<Rule> {
  const width = labelled.reduce((most, { scores }) => Math.max(most, scores.length), 0);
  const mean = meanLogProbabilities(labelled);
  const centred = ({ scores }: Pick<Row, "scores">) => logSoftmax(scores).map((value, a) => value - (mean[a] ?? 0));
  const all = labelled.flatMap(centred);
  const scale = Math.sqrt(all.reduce((sum, value) => sum + value ** 2, 0) / Math.max(1, all.length)) || 1;
  const inputs = (row: Pick<Row, "scores">) => centred(row).map((value) => value / scale);
  const fit = async (rows: readonly Row[], strength: number): Promise<Rule> => {
    const known = rows.map((row) => ({ x: inputs(row), label: row.label }));
    const found = await minimise(
      (p, gradient) => affineLoss(p, gradient, known, width, strength),
      new Float64Array(2 * width).fill(1, 0, width),
      {
        ...(rest && { rest }),
      },
    );
    return (row) => softmax(inputs(row).map((x, a) => (found[a] as number) * x + (found[width + a] as number)));
  };
  return await crossValidated(labelled, AFFINE_STRENGTHS, fit);
}

/** `p` = weights, then biases. */
function affineLoss(
  p: Float64Array,
  gradient: Float64Array,
  rows: readonly { x: readonly number[]; label: number }[],
  width: number,
  strength: number,
): number {
  const weights = p.subarray(0, width);
  const common = weights.reduce((sum, w) => sum + w, 0) / width;
  let value = 0;
  for (let a = 0; a < width; a++) {
    const weight = p[a] as number;
    const bias = p[width + a] as number;
    value += (strength * (weight - common) ** 2 + FINITE * ((weight - 1) ** 2 + bias ** 2)) / 2;
    gradient[a] = strength * (weight - common) + FINITE * (weight - 1);
    gradient[width + a] = FINITE * bias;
  }
  for (const { x, label } of rows) {
    const logs = logSoftmax(x.map((score, a) => (p[a] as number) * score + (p[width + a] as number)));
    value -= (logs[label] as number) / rows.length;
    x.forEach((score, a) => {
      const error = (Math.exp(logs[a] as number) - (a === label ? 1 : 0)) / rows.length;
      gradient[a] = (gradient[a] as number) + error * score;
      gradient[width + a] = (gradient[width + a] as number) + error;
    });
  }
  return value;
}

const PROBE_STRENGTHS = [1, 0.3, 0.1, 0.03, 0.01, 0.003];
const PROBE_STEPS = 60;

/**
 * Linear probe: logistic regression on the last hidden state, features brought to mean 0 and standard deviation 1, ridge chosen in a
 * cross-validation. The most that labelled rows give without changing the model; it is no help to generation.
 */
export async function fitProbe(labelled: readonly Row[], rest?: Rest): Promise<Rule> {
  const states = labelled.map(({ hidden }) => hidden ?? new Float32Array());
  const width = states[0]?.length ?? 0;
  const mean = new Float64Array(width);
  const deviation = new Float64Array(width);
  for (let f = 0; f < width; f++) {
    const average = states.reduce((sum, state) => sum + (state[f] as number), 0) / states.length;
    mean[f] = average;
    deviation[f] = Math.sqrt(states.reduce((sum, state) => sum + ((state[f] as number) - average) ** 2, 0) / states.length) || 1;
  }
  const standard = (state: Float32Array) =>
    Float64Array.from(state, (value, f) => (value - (mean[f] as number)) / (deviation[f] as number));
  const classes = labelled.reduce((most, { scores }) => Math.max(most, scores.length), 0);
  const rows = labelled.map(({ label }, i) => ({ label, features: standard(states[i] as Float32Array) }));
  const classify = await crossValidated(rows, PROBE_STRENGTHS, async (part, ridge) => {
    const data = { features: part.map(({ features }) => features), labels: part.map(({ label }) => label), classes };
    const classifier = await fitLogistic(data, ridge, { steps: PROBE_STEPS, ...(rest && { rest }) });
    return (row: { features: Float64Array }) => classifier(row.features);
  });
  return ({ hidden }) => classify({ features: standard(hidden ?? new Float32Array(width)) });
}
