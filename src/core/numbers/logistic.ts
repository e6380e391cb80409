/** Multinomial logistic regression with ridge: cross entropy in nats, mean over the rows. */
import { type MinimiseOptions, minimise } from "./minimise.js";
import { softmax } from "./scores.js";

/** `features` [row][feature], `labels` below `classes`. */
export interface LabelledFeatures {
  features: readonly Float64Array[];
  labels: readonly number[];
  classes: number;
}

/** Probabilities of the classes. */
export type Classifier = (features: Float64Array) => number[];

/** Weights [class][feature + 1]; the last column is the bias, which the ridge leaves alone but for what keeps it finite. */
export async function fitLogistic(
  { features, labels, classes }: LabelledFeatures,
  ridge: number,
  options: MinimiseOptions = {},
): Promise<Classifier> {
  const width = (features[0]?.length ?? 0) + 1;
  const scoresOf = (weights: Float64Array, row: Float64Array) =>
    Array.from({ length: classes }, (_, c) => {
      const at = c * width;
      let sum = weights[at + width - 1] as number;
      for (let f = 0; f < row.length; f++) sum += (weights[at + f] as number) * (row[f] as number);
      return sum;
    });
  const weights = await minimise(
    (w, gradient) => {
      let value = 0;
      for (let i = 0; i < w.length; i++) {
        const own = (i + 1) % width === 0 ? BIAS_RIDGE : ridge;
        value += (own / 2) * (w[i] as number) ** 2;
        gradient[i] = own * (w[i] as number);
      }
      features.forEach((row, r) => {
        const label = labels[r] as number;
        const probabilities = softmax(scoresOf(w, row));
        value -= Math.log(Math.max(1e-300, probabilities[label] as number)) / features.length;
        for (let c = 0; c < classes; c++) {
          const error = ((probabilities[c] as number) - (c === label ? 1 : 0)) / features.length;
          const at = c * width;
          for (let f = 0; f < row.length; f++) gradient[at + f] = (gradient[at + f] as number) + error * (row[f] as number);
          gradient[at + width - 1] = (gradient[at + width - 1] as number) + error;
        }
      });
      return value;
    },
    new Float64Array(classes * width),
    options,
  );
  return (row) => softmax(scoresOf(weights, row));
}

/** A class without rows would push its bias to minus infinity. */
const BIAS_RIDGE = 1e-4;

/** Parts of the cross-validation. */
const FOLDS = 4;

/**
 * Fits with the strength of regularisation that has the least cross entropy in a 4-fold cross-validation. Rows are dealt out in their order, so
 * they must come in a random one.
 */
export async function crossValidated<Row extends { label: number }, Rule extends (row: Row) => number[]>(
  rows: readonly Row[],
  strengths: readonly number[],
  fit: (rows: readonly Row[], strength: number) => Promise<Rule>,
): Promise<Rule> {
  let best = strengths[0] as number;
  let least = Number.POSITIVE_INFINITY;
  for (const strength of strengths) {
    let loss = 0;
    for (let part = 0; part < FOLDS; part++) {
      const rule = await fit(
        rows.filter((_, i) => i % FOLDS !== part),
        strength,
      );
      for (const row of rows.filter((_, i) => i % FOLDS === part)) loss -= Math.log(Math.max(1e-12, rule(row)[row.label] ?? 0));
    }
    if (loss < least) {
      least = loss;
      best = strength;
    }
  }
  return await fit(rows, best);
}
