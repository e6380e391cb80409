/** A verdict in words: what a confirmation showed, as one says it to a colleague. Pure. A gain never stands without its interval and n. */
import type { Evidence, HeadSet, Use } from "../protocol/calibration.js";
import { type Standing, USE_NAMES } from "./uses.js";

/** How a difference is written. Likelihoods of tokens are told as "more likely", in percent; nats stand only where their meaning is explained. */
export interface Unit {
  /** Behind a number: "points", "%". */
  name: string;
  /** A difference on the axis and in the table: points, or percent more likely. */
  value(difference: number): number;
  /** A score: percent right, or the mean probability of a true token in percent. */
  score(score: number): string;
}

const POINTS: Unit = {
  name: "points",
  value: (difference) => 100 * difference,
  score: (score) => `${(100 * score).toFixed(1)} %`,
};
const LIKELIER: Unit = {
  name: "% more likely",
  value: (difference) => 100 * Math.expm1(difference),
  score: (score) => `${(100 * Math.exp(score)).toFixed(1)} %`,
};

export function unitOf({ metric }: Pick<Evidence, "metric">): Unit {
  return metric === "log-likelihood" ? LIKELIER : POINTS;
}

/** 2.1 -> "+2.1"; what rounds to nothing has no sign. */
export function signedTenth(value: number): string {
  const rounded = Math.abs(value).toFixed(1);
  return `${rounded === "0.0" ? "" : value > 0 ? "+" : "−"}${rounded}`;
}

/** "sst2, +12.7 points": how a set is called. */
export function nameOf(measured: string, evidence: Evidence | undefined): string {
  if (!evidence) return measured;
  const unit = unitOf(evidence);
  return `${measured}, ${signedTenth(unit.value(evidence.difference))} ${unit.name}`;
}

/** "+2.1 points (95 % +0.4 to +3.8, n = 300)". */
export function gain(evidence: Evidence): string {
  const unit = unitOf(evidence);
  const [value, low, high] = [evidence.difference, ...evidence.interval].map((one) => signedTenth(unit.value(one)));
  return `${value} ${unit.name} (95 % ${low} to ${high}, n = ${evidence.confirmedOn})`;
}

interface Known {
  heads: HeadSet["heads"];
  use: Use;
  standing: Standing;
  evidence: Evidence | null;
}

/** The verdict as one says it to a colleague: no unit that needs a book. */
export function plain({ heads, evidence, standing, use }: Known): string {
  if (!evidence) return `Nothing was measured about this set, so nothing is known about what it does to ${USE_NAMES[use]}.`;
  if (heads.length === 0 || evidence.confirmedOn === 0) return `No set of heads did better than none on ${evidence.task}.`;
  const [difference, low, high] = [evidence.difference, ...evidence.interval].map(unitOf(evidence).value) as [number, number, number];
  const likelihood = evidence.metric === "log-likelihood";
  const amount = Math.abs(difference) < 0.05 ? "0" : tidy(Math.abs(difference));
  const change = likelihood
    ? `the right next token is ${amount} % ${difference < 0 ? "less" : "more"} likely`
    : `${amount} ${difference < 0 ? "fewer" : "more"} of 100 answers are right`;
  const span = `between ${bound(low)} and ${bound(high)}`;
  switch (standing) {
    case "helps":
      return `It helps on ${evidence.task}: ${change}. That is sure (${span}).`;
    case "harms":
      return `It harms on ${evidence.task}: ${change}. That is sure (${span}).`;
    case "no-evidence":
      return `On ${evidence.task} ${change} (${span}); nothing was measured on ${USE_NAMES[use]}.`;
    case "does-not-help":
      return low > 0
        ? `On ${evidence.task} ${change} (${span}), but the search left it off: it only moves the model's guesses.`
        : `It is not known to help on ${evidence.task}: ${change}, and that may be chance (${span}).`;
  }
}

/** Whole numbers from ten on, tenths below. */
function tidy(value: number): string {
  return value >= 9.95 ? value.toFixed(0) : value.toFixed(1).replace(/\.0$/, "");
}

function bound(value: number): string {
  const text = tidy(Math.abs(value));
  return text === "0" ? "0" : `${value < 0 ? "−" : "+"}${text}`;
}
