/** The verdict in a sentence, with interval, n, and what n could have shown. */
import type { ArmResult } from "./arms.js";

export interface Facts {
  metric: "accuracy" | "log-likelihood";
  confirmed: ArmResult;
  helps: boolean;
  /** The constant answer, where the set is not surely better than it. */
  constant?: ArmResult | undefined;
  /** Tasks that the set surely harms. */
  harmed: readonly string[];
  /** Smallest gain that this comparison would have shown four times in five. */
  smallestGain: number;
  /** Batch calibration without heads, and whether the set does anything beyond moving a bias. */
  bias?: { only: boolean; batch: number } | undefined;
}

export function noCandidate(validate: number): string {
  return `Calibration does not help this model here: no set of heads did better than none on ${validate} validation prompts. It is left off.`;
}

export function sentence({ metric, confirmed, helps, constant, harmed, smallestGain, bias }: Facts): string {
  const { difference, interval, baseline, calibrated, n, heads } = confirmed;
  const number = (value: number) => (metric === "accuracy" ? `${(100 * value).toFixed(1)}` : value.toFixed(4));
  const unit = metric === "accuracy" ? " points" : " nats a token";
  const numbers = `${number(baseline)} without, ${number(calibrated)} with, difference ${number(difference)}${unit} (95 % interval ${number(interval[0])} to ${number(interval[1])}, ${n} untouched prompts)`;
  const set = heads === 1 ? "1 head" : `${heads} heads`;
  if (helps) {
    const moved = bias?.only
      ? ` The gain may be no more than a shift between the labels: batch calibration, which needs no heads, gives ${number(bias.batch)}.`
      : "";
    return `Calibrating ${set} helps here: ${numbers}.${moved}`;
  }
  const start = "Calibration does not help this model here: the best set, ";
  if (interval[0] > 0 && constant)
    return `${start}${set}, is better than none, ${numbers}, but always giving the same answer is not surely worse (${number(constant.calibrated)}). It is left off.`;
  if (interval[0] > 0 && harmed.length > 0)
    return `${start}${set}, is better than none over all tasks, ${numbers}, but it surely harms ${harmed.join(", ")}. It is left off.`;
  const power = smallestGain > 0 ? ` A gain of ${number(smallestGain)}${unit} would have shown in four such comparisons of five.` : "";
  return `${start}${set}, is not surely better than none: ${numbers}.${power} It is left off.`;
}
