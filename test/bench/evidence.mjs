// Evidence for the head search: one search a task, each confirmed on prompts that nothing was chosen on, then one table.
//   ACT_DATA=DIR node test/bench/evidence.mjs --out DIR [--budget MIN] [--model FILE] [TASK…]
// Goes on where it was stopped: a finished task is not searched again, an unfinished one goes on from its journal.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const TASKS = [
  "sst2",
  "sst5",
  "MR",
  "SUBJ",
  "AGNews",
  "TREC",
  "CB",
  "BoolQ",
  "DBPedia",
  "hellaswag",
  "ARCE",
  "PIQA",
  "ARCC",
  "OB",
  "COPA",
  "CQA",
];
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    out: { type: "string" },
    budget: { type: "string", default: "10" },
    model: { type: "string" },
    act: { type: "string" },
    threads: { type: "string" },
  },
});
if (!values.out) {
  console.error("Name the folder for the results with --out DIR.");
  process.exit(2);
}
const act = values.act ?? path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../../src/cli/act.mjs");
mkdirSync(values.out, { recursive: true });

const tasks = positionals.length > 0 ? positionals : TASKS;
for (const task of tasks) {
  const set = path.join(values.out, `${task}.json`);
  if (existsSync(set)) continue;
  console.error(`== ${task}`);
  const optional = ["model", "threads"].flatMap((name) => (values[name] ? [`--${name}`, values[name]] : []));
  const { status } = spawnSync(
    process.execPath,
    [act, "calibrate", "--task", task, "--budget", values.budget, "--seed", "42", "--resume", "--out", set, ...optional],
    {
      stdio: ["ignore", "ignore", "inherit"],
    },
  );
  if (status === 130) process.exit(130);
  if (status !== 0) console.error(`${task}: act calibrate ended with ${status}.`);
}

const percent = (value) => (100 * value).toFixed(1);
const signed = (value) => `${value > 0 ? "+" : ""}${percent(value)}`;
const cell = ({ difference, interval, accuracy }) =>
  `${percent(accuracy)} (${signed(difference)}; ${signed(interval[0])} to ${signed(interval[1])})`;
const lines = [
  "| task | n | none | chosen set (heads) | random sets, mean | all heads | ZeroTuning | contextual calibration | contextual + chosen | on | cheaper than exhaustive | s |",
  "|---|---|---|---|---|---|---|---|---|---|---|---|",
];
for (const task of tasks) {
  const file = path.join(values.out, `${task}.json`);
  if (!existsSync(file)) continue;
  const { evidence: e, heads, on } = JSON.parse(readFileSync(file, "utf8"));
  const rival = (start) => e.rivals.find(({ name }) => name.startsWith(start));
  const show = (found) => (found ? cell(found) : "-");
  const randoms = e.rivals.filter(({ name }) => name.startsWith("random set"));
  const random =
    randoms.length === 0
      ? "-"
      : `${percent(randoms.reduce((sum, { accuracy }) => sum + accuracy, 0) / randoms.length)} (${randoms.map(({ difference }) => signed(difference)).join(", ")})`;
  const none = e.confirmedOn > 0 ? percent(e.baseline) : "-";
  const chosen = e.confirmedOn > 0 ? `${cell({ ...e, accuracy: e.calibrated })} (${heads.length})` : "no set beat none on validation";
  const ratio = (e.exhaustiveTokenLayers / e.tokenLayers).toFixed(0);
  lines.push(
    `| ${task} | ${e.confirmedOn} | ${none} | ${chosen} | ${random} | ${show(rival("all eligible"))} | ${show(rival("ZeroTuning"))} | ${show(rival("contextual calibration alone"))} | ${show(rival("contextual calibration with"))} | ${on ? "yes" : "no"} | ${ratio} x | ${e.seconds} |`,
  );
}
const table = `${lines.join("\n")}\n`;
writeFileSync(path.join(values.out, "table.md"), table);
process.stdout.write(table);
