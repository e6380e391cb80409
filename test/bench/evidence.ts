/**
 * Evidence for the head search: one search a task, each confirmed on prompts that nothing was chosen on, and one table. A set that the search
 * switches on is evaluated once more on the task's test.jsonl, of which the search knows nothing.
 *
 *   ACT_DATA=DIR ACT_EVIDENCE=DIR [ACT_BUDGET=10] [ACT_TASKS=sst2,AGNews] node scripts/run.mjs bench evidence
 *
 * Goes on where it was stopped: a finished task is not searched again, an unfinished one goes on from its journal.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import * as v from "valibot";
import { TASKS } from "../../src/core/tasks/index.js";
import { type Evidence, HeadSetSchema } from "../../src/protocol/calibration.js";

const percent = (value: number) => (100 * value).toFixed(1);
const signed = (value: number) => `${value > 0 ? "+" : ""}${percent(value)}`;
type Compared = Pick<Evidence, "difference" | "interval"> & { accuracy: number };
const cell = ({ difference, interval, accuracy }: Compared) =>
  `${percent(accuracy)} (${signed(difference)}; ${signed(interval[0])} to ${signed(interval[1])})`;

const TestSchema = v.object({ tasks: v.tuple([v.looseObject({ n: v.number(), letters: v.optional(v.unknown()) })]) });
const ComparedSchema = v.object({
  baseline: v.number(),
  calibrated: v.number(),
  difference: v.number(),
  interval: v.tuple([v.number(), v.number()]),
});

/** What `act evaluate` says of a set; for multiple choice by the letters' logits, as the search counts. */
function testCell(file: unknown): string {
  const [task] = v.parse(TestSchema, file).tasks;
  const compared = v.parse(ComparedSchema, task.letters ?? task);
  return `${percent(compared.baseline)} -> ${cell({ ...compared, accuracy: compared.calibrated })}, n = ${task.n}`;
}

/** A line of the table from a head-set file, and what its evaluation on the test prompts said. */
export function evidenceRow(task: string, file: unknown, test?: unknown): string {
  const { evidence, heads, on } = v.parse(HeadSetSchema, file);
  if (!evidence) throw new Error(`The head set of ${task} has no evidence.`);
  const {
    rivals = [],
    baseline,
    calibrated,
    confirmedOn,
    seconds,
    tokenLayers = Number.NaN,
    exhaustiveTokenLayers = Number.NaN,
  } = evidence;
  const rival = (start: string) => {
    const found = rivals.find(({ name }) => name.startsWith(start));
    return found ? cell(found) : "-";
  };
  const randoms = rivals.filter(({ name }) => name.startsWith("random set"));
  const random =
    randoms.length === 0
      ? "-"
      : `${percent(randoms.reduce((sum, { accuracy }) => sum + accuracy, 0) / randoms.length)} (${randoms.map(({ difference }) => signed(difference)).join(", ")})`;
  return `| ${[
    task,
    confirmedOn,
    confirmedOn > 0 ? percent(baseline) : "-",
    heads.length > 0
      ? `${cell({ ...evidence, accuracy: calibrated })}, ${heads.length} ${heads.length === 1 ? "head" : "heads"}`
      : "no set beat none on validation",
    random,
    rival("all eligible"),
    rival("ZeroTuning"),
    rival("contextual calibration alone"),
    rival("contextual calibration with"),
    on ? "yes" : "no",
    test === undefined ? "-" : testCell(test),
    `${(exhaustiveTokenLayers / tokenLayers).toFixed(0)} x`,
    seconds,
  ].join(" | ")} |`;
}

export const EVIDENCE_HEAD = [
  "| task | n | none | chosen set | random sets of equal size: mean (each) | all heads | ZeroTuning | contextual calibration | contextual + chosen | on | the same set on test.jsonl | cheaper than exhaustive | s |",
  "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
];

export async function run(): Promise<{ table: string; tasks: string[] }> {
  const { ACT_EVIDENCE: out, ACT_BUDGET: budget = "10", ACT_TASKS: only, ACT_COMMAND: act = "src/cli/act.mjs" } = process.env;
  if (!out) throw new Error("Name the folder for the results in ACT_EVIDENCE.");
  mkdirSync(out, { recursive: true });
  const lines = [...EVIDENCE_HEAD];
  const done: string[] = [];
  const command = (...args: string[]) =>
    spawnSync(process.execPath, [act, ...args], { stdio: ["ignore", "pipe", "inherit"], encoding: "utf8", maxBuffer: 2 ** 26 });
  for (const task of only?.split(",") ?? TASKS.map(({ name }) => name)) {
    const set = path.join(out, `${task}.json`);
    if (!existsSync(set)) {
      const { status } = command("calibrate", "--task", task, "--budget", budget, "--seed", "42", "--resume", "--out", set);
      if (status === 130) break;
    }
    if (!existsSync(set)) continue;
    const found: unknown = JSON.parse(readFileSync(set, "utf8"));
    const test = path.join(out, `${task}.test.json`);
    if (v.parse(HeadSetSchema, found).on && !existsSync(test)) {
      const { status, stdout } = command("evaluate", "--task", task, "--heads", set, "--json");
      if (status === 130) break;
      if (status === 0) writeFileSync(test, stdout);
    }
    lines.push(evidenceRow(task, found, existsSync(test) ? JSON.parse(readFileSync(test, "utf8")) : undefined));
    done.push(task);
    writeFileSync(path.join(out, "table.md"), `${lines.join("\n")}\n`);
  }
  return { table: path.join(out, "table.md"), tasks: done };
}
