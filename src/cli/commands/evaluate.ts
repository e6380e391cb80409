import path from "node:path";
import * as v from "valibot";
import { type InstructionPrompt, judge, parseInstructionPrompts, parseResponses } from "../../core/ifeval/ifeval.js";
import { languageDetector } from "../../core/ifeval/language.js";
import type { TaskResult } from "../../protocol/engine.js";
import { ActError } from "../../protocol/errors.js";
import { EvaluateSchema, ShotsSchema } from "../../protocol/requests/evaluate.js";
import { count } from "../../protocol/requests/fields.js";
import { loadSplit } from "../../store/data.js";
import { choice, dataFlag, list, number, text } from "../arguments.js";
import type { Command } from "../command.js";
import { readText } from "../prompt.js";
import { signed, table } from "../table.js";

const SplitSchema = v.unwrap(EvaluateSchema.entries.split);

export const evaluate: Command = {
  does: "accuracy of tasks with and without a head set",
  usage: "--task NAME… [--heads SET] [--shots K] [--limit N] [--seeds 5] [--rivals] [--out DIR] [--resume]",
  flags: {
    task: { value: "NAME", does: "a published task, ifeval, humaneval_infilling, or a task file (.json, .jsonl)", many: true },
    shots: { value: "K", does: "few-shot examples in each prompt", schema: ShotsSchema, default: "0" },
    seeds: { value: "N", does: "draws of the few-shot examples", schema: count, default: "5" },
    limit: { value: "N", does: "the first N items, in file order", schema: count, default: "all" },
    split: { value: "NAME", does: "which items", schema: SplitSchema, default: "test" },
    contextual: { does: "contextual calibration (Zhao et al. 2021) beside it" },
    rivals: { does: "batch calibration, affine, probe, random sets and ZeroTuning beside it, fitted on training rows" },
    responses: { value: "FILE", does: "ifeval: judges the answers of a .jsonl file (key and response a line), without a model" },
    out: { value: "DIR", does: "folder for records, report and plots" },
    resume: { does: "go on with the run that was interrupted" },
  },
  async run(session, flags, rest) {
    const tasks = [...list(flags, "task"), ...rest];
    if (tasks.length === 0) throw new ActError("usage", "Name at least one task with --task, for instance sst2.");
    const responses = text(flags, "responses");
    if (responses !== undefined) return await judged(responses, tasks, dataFlag(flags));
    const out = text(flags, "out");
    if (flags.resume === true && out === undefined)
      throw new ActError("usage", "--resume needs the --out folder that the earlier run wrote to.");
    const params = {
      tasks,
      ...dataFlag(flags),
      shots: number(flags, "shots") ?? 0,
      seeds: number(flags, "seeds") ?? 5,
      limit: number(flags, "limit"),
      split: choice(flags, "split", SplitSchema),
      contextual: flags.contextual === true,
      rivals: flags.rivals === true,
      ...(out !== undefined && { out: path.resolve(out) }),
      resume: flags.resume === true,
    };
    const model = await session.load({ sequences: 0 });
    const calibration = await session.calibration(model);
    const result = await session.request(
      "evaluate",
      { ...params, calibration },
      {
        onProgress: ({ task, done, total, promptsPerSecond }) =>
          session.progress(`${task} ${done}/${total}, ${promptsPerSecond.toFixed(1)} prompts/s`),
      },
    );
    const rows = result.tasks.map(({ name, n, shots, baseline, calibrated, difference, interval, p, skipped }) => [
      name,
      String(n),
      String(shots),
      baseline.toFixed(3),
      calibrated.toFixed(3),
      signed(difference),
      `${signed(interval[0])} to ${signed(interval[1])}`,
      p.toFixed(3),
      String(skipped),
    ]);
    const { mean } = result;
    rows.push(["mean", "", "", mean.baseline.toFixed(3), mean.calibrated.toFixed(3), signed(mean.difference), "", "", ""]);
    const shown = table(["task", "n", "shots", "off", "on", "difference", "95 % interval", "p", "too long"], rows);
    return { json: result, text: params.rivals ? `${shown}\n\n${rivalTable(result.tasks)}` : shown };
  },
};

/** Given answers, judged by the rules alone. */
async function judged(file: string, tasks: readonly string[], data: { data?: string }) {
  if (tasks.length !== 1 || tasks[0] !== "ifeval") throw new ActError("usage", "--responses goes with --task ifeval and no other task.");
  const detectLanguage = await languageDetector();
  const prompts = new Map<number, InstructionPrompt>();
  for (const split of ["train", "test"] as const) {
    const { text: lines, file: from } = await loadSplit("ifeval", split, data);
    for (const prompt of parseInstructionPrompts(lines, from)) prompts.set(prompt.key, prompt);
  }
  const rows = parseResponses(await readText(file), file, prompts).map(({ key, response }) => ({
    key,
    followed: judge(prompts.get(key) as InstructionPrompt, response, detectLanguage),
  }));
  const right = rows.filter(({ followed }) => followed.every(Boolean)).length;
  return { json: { rows }, text: `${right} of ${rows.length} answers follow all instructions of their prompt.` };
}

function rivalTable(tasks: readonly TaskResult[]): string {
  const row = (task: string, name: string, accuracy: number, difference: number, interval: readonly [number, number]) => [
    task,
    name,
    accuracy.toFixed(3),
    signed(difference),
    `${signed(interval[0])} to ${signed(interval[1])}`,
  ];
  const rows = tasks.flatMap(({ name, rivals = [], biasFree }) => [
    ...rivals.map((rival) => row(name, rival.name, rival.accuracy, rival.difference, rival.interval)),
    ...(biasFree ? [row(name, `the set, ${biasFree.measure}`, biasFree.calibrated, biasFree.difference, biasFree.interval)] : []),
  ]);
  return table(["task", "rival", "accuracy", "difference", "95 % interval"], rows);
}
