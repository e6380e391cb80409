import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import type { Calibration } from "../../src/protocol/calibration.js";
import type { HeadSinks } from "../../src/protocol/engine.js";

/** The recorded end-to-end results (test/oracle/README.md says how they were made), and how results are measured against them. */

interface Logits {
  argmax: number;
  /** [id, value], the 20 largest. */
  top: [number, number][];
  first64: number[];
  logsumexp: number;
  mean: number;
  l2: number;
}
/** layer -> head -> [exempt, sinks, columns within 10 % of the limit, mass on the sinks]. */
type Sinks = Record<string, Record<string, [number | null, number[], number[], number]>>;
interface Run {
  beta: number;
  mode: "fixed" | "relative";
  thres?: number;
  alpha?: number;
  ubatch: number | null;
  heads: Record<string, number[]>;
  logits: Logits;
  sinks: Sinks;
  /** `sinks` is recorded for calibrated runs only. */
  decode: { token: number; logits: Logits; sinks?: Sinks }[];
}
export interface Case {
  name: string;
  ids: number[];
  forced: number[];
  runs: Record<string, Run>;
}
export type { Logits, Run, Sinks };

const folder = path.join("test", "oracle", "e2e");

export const cases: Case[] = readdirSync(folder).map((file) => JSON.parse(readFileSync(path.join(folder, file), "utf8")) as Case);

export function calibrationOf(run: Run): Calibration | null {
  const heads = Object.entries(run.heads).flatMap(([layer, list]) => list.map((head): [number, number] => [Number(layer), head]));
  if (heads.length === 0) return null;
  return {
    method: "act",
    heads,
    beta: run.beta,
    threshold: { mode: run.mode, value: (run.mode === "fixed" ? run.thres : run.alpha) ?? 0 },
    statistics: "running",
  };
}

/** Largest absolute difference over what the oracle recorded of the logits. */
export function largestDifference(logits: Float32Array, oracle: Logits): number {
  let largest = 0;
  for (const [id, value] of oracle.top) largest = Math.max(largest, Math.abs((logits[id] ?? Number.NaN) - value));
  oracle.first64.forEach((value, id) => {
    largest = Math.max(largest, Math.abs((logits[id] ?? Number.NaN) - value));
  });
  return Number.isNaN(largest) ? Number.POSITIVE_INFINITY : largest;
}

/** KL(oracle, ours) over the oracle's top 20 and one bin for the rest. */
export function divergence(logits: Float32Array, oracle: Logits): number {
  let max = Number.NEGATIVE_INFINITY;
  for (const logit of logits) max = Math.max(max, logit);
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - max);
  const logSumExp = max + Math.log(sum);
  let kl = 0;
  let restP = 1;
  let restQ = 1;
  for (const [id, value] of oracle.top) {
    const p = Math.exp(value - oracle.logsumexp);
    const q = Math.exp((logits[id] ?? 0) - logSumExp);
    kl += p * Math.log(p / q);
    restP -= p;
    restQ -= q;
  }
  return kl + (restP > 0 && restQ > 0 ? restP * Math.log(restP / restQ) : 0);
}

/** Heads whose sinks differ from the oracle's, as lines; `lenient`: columns within 10 % of the limit do not count. */
export function sinkDifferences(ours: readonly HeadSinks[], oracle: Sinks | undefined, lenient: boolean): string[] {
  if (!oracle) return [];
  const differences: string[] = [];
  for (const { layer, head, exempt, positions } of ours) {
    const [oracleExempt, oracleSinks, near] = oracle[layer]?.[head] ?? [null, [], []];
    const all = (first: number | null, rest: readonly number[]) => (first === null ? rest : [first, ...rest]);
    const loose = new Set(lenient ? near : []);
    const count = (list: readonly number[]) => list.filter((position) => !loose.has(position)).join(" ");
    if (count(all(exempt, positions)) !== count(all(oracleExempt, oracleSinks)))
      differences.push(
        `[${layer}, ${head}] ours ${all(exempt, positions).join(" ")} oracle ${all(oracleExempt, oracleSinks).join(" ")} near ${near.join(" ")}`,
      );
  }
  return differences;
}
