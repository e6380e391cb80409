/** Which rule to label with, and what accuracy to expect of it: found on labelled rows that it was not fitted on. */
import type { RivalResult } from "../../protocol/engine.js";
import { compareAccuracy, type Interval } from "../numbers/paired.js";
import { integer, random } from "../numbers/random.js";
import { argmax } from "../numbers/scores.js";
import { wilson } from "../numbers/wilson.js";
import { fitRivals, type Rival } from "../rivals/rivals.js";
import { plain, type Row } from "../rivals/rules.js";

/** Labelled rows without heads and, where there is a set, with it; in random order. */
export interface Examples {
  off: readonly Row[];
  on?: readonly Row[] | undefined;
}

export interface Share {
  accuracy: number;
  interval: Interval;
  n: number;
}

export interface Labeller {
  /** The best rule, fitted on all examples. */
  best: Rival;
  /** Accuracy to expect on rows like the examples. */
  expected: Share;
  /** Every rule on rows that it was not fitted on, against the model's own answer. */
  rivals: RivalResult[];
  /** The same of the rows that get at least this probability. */
  above(confidence: number): Share;
}

const FOLDS = 5;
const DRAWS = 1000;
const SEED = 42;

/** All rules that can label, the model's own answers first. */
async function rules(examples: Examples, rest?: () => Promise<void>): Promise<Rival[]> {
  const own: Rival[] = [{ name: "none", arm: "off", rule: plain, needsHidden: false }];
  if (examples.on) own.push({ name: "set", arm: "on", rule: plain, needsHidden: false });
  return [...own, ...(await fitRivals(examples, rest))];
}

/** A rule's answers on rows that it was not fitted on. */
interface Tried {
  name: string;
  right: boolean[];
  /** Minus the log-probability of the right answer. */
  loss: number[];
  /** Probability of the answer given. */
  confidence: number[];
}

/**
 * Tries every rule in a 5-fold cross-validation, takes the most accurate one (the lesser cross entropy decides between equals), and fits it on all
 * examples. The best of several looks better than it is, so the accuracy to expect is that of the whole procedure: rules compete on a bootstrap sample
 * of the rows, and the winner is counted on the rows outside it (Tsamardinos et al. 2018).
 */
export async function chooseLabeller(examples: Examples, rest?: () => Promise<void>): Promise<Labeller> {
  const tried = await crossFitted(examples, rest);
  const all = examples.off.map((_, row) => row);
  const winner = bestOf(tried, all);
  const best = (await rules(examples, rest)).find(({ name }) => name === winner.name) as Rival;
  const accuracy = expectedAccuracy(tried, all.length);
  const own = tried[0] as Tried;
  return {
    best,
    expected: { accuracy, interval: wilson(accuracy, all.length), n: all.length },
    rivals: tried.map(({ name, right }) => {
      const { n, calibrated, difference, interval, p } = compareAccuracy(own.right, right);
      return { name, n, accuracy: calibrated, difference, interval, p };
    }),
    above: (confidence) => {
      const kept = all.filter((row) => (winner.confidence[row] as number) >= confidence);
      const share = kept.length === 0 ? 0 : kept.filter((row) => winner.right[row]).length / kept.length;
      return { accuracy: share, interval: wilson(share, kept.length), n: kept.length };
    },
  };
}

async function crossFitted({ off, on }: Examples, rest?: () => Promise<void>): Promise<Tried[]> {
  const tried = new Map<string, Tried>();
  for (let fold = 0; fold < FOLDS; fold++) {
    const others = (rows: readonly Row[]) => rows.filter((_, row) => row % FOLDS !== fold);
    for (const { name, arm, rule } of await rules({ off: others(off), on: on && others(on) }, rest)) {
      const one = tried.get(name) ?? { name, right: [], loss: [], confidence: [] };
      tried.set(name, one);
      for (let row = fold; row < off.length; row += FOLDS) {
        const example = (arm === "on" ? on : off)?.[row] as Row;
        const probabilities = rule(example);
        const answer = argmax(probabilities);
        one.right[row] = answer === example.label;
        one.loss[row] = -Math.log(Math.max(1e-12, probabilities[example.label] ?? 0));
        one.confidence[row] = probabilities[answer] as number;
      }
    }
  }
  return [...tried.values()];
}

/** `rows` may hold a row several times. */
function bestOf(tried: readonly Tried[], rows: readonly number[]): Tried {
  let best = tried[0] as Tried;
  let most = -1;
  let least = Number.POSITIVE_INFINITY;
  for (const one of tried) {
    let right = 0;
    let loss = 0;
    for (const row of rows) {
      if (one.right[row]) right++;
      loss += one.loss[row] as number;
    }
    if (right > most || (right === most && loss < least)) {
      best = one;
      most = right;
      least = loss;
    }
  }
  return best;
}

function expectedAccuracy(tried: readonly Tried[], count: number): number {
  const rng = random(SEED);
  let right = 0;
  let outside = 0;
  for (let draw = 0; draw < DRAWS; draw++) {
    const sample = Array.from({ length: count }, () => integer(rng, count));
    const drawn = new Set(sample);
    const winner = bestOf(tried, sample);
    for (let row = 0; row < count; row++) {
      if (drawn.has(row)) continue;
      outside++;
      if (winner.right[row]) right++;
    }
  }
  return outside === 0 ? 0 : right / outside;
}
