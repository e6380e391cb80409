import { createHash } from "node:crypto";
import path from "node:path";
import { generatedResult, meanOf, taskResult } from "../../core/evaluation/evaluate.js";
import type { EvaluationRecord } from "../../core/evaluation/records.js";
import { evaluationHtml, evaluationMarkdown, evaluationSvg } from "../../core/evaluation/report.js";
import type { Calibration } from "../../protocol/calibration.js";
import type { EvaluateParams, EvaluateResult, TaskResult } from "../../protocol/engine.js";
import type { Call } from "../../protocol/rpc.js";
import { version } from "../../protocol/version.js";
import { writeFileAtomic } from "../../store/atomic.js";
import { Journal } from "../../store/journal.js";
import type { Engine, Handler } from "../engine.js";
import { evaluateGenerated, isGenerated, type Question, questionsOf } from "../evaluation/generated.js";
import { evaluateLabelled } from "../evaluation/labelled.js";
import { type Plan, planOf } from "../evaluation/plan.js";
import { RivalArms, recordsOf } from "../evaluation/rivals.js";
import type { Turn } from "../queue.js";
import type { Model } from "../run/model.js";

export const evaluate: Handler<"evaluate"> = async (engine, params, call) => {
  return await engine.queue.run("evaluate", "background", call.signal, async (turn) => await run(engine, params, call, turn));
};

async function run(engine: Engine, params: EvaluateParams, call: Call<"evaluate">, turn: Turn): Promise<EvaluateResult> {
  const { model } = engine;
  model.checkCalibration(params.calibration);
  const plan = await planOf(model, { ...params, tasks: params.tasks.filter((name) => !isGenerated(name)) }, turn);
  const questions: Question[] = [];
  for (const task of new Set(params.tasks.filter(isGenerated))) questions.push(...(await questionsOf(engine, task, params, turn)));
  const arms = params.calibration && params.calibration.heads.length > 0 ? [null, params.calibration] : [null];
  const options = optionsOf(model, params, plan, questions);
  const opened = params.out
    ? await Journal.open(
        path.join(params.out, "records.jsonl"),
        { kind: "evaluate", model: { name: model.info.name, sha256: model.info.sha256 }, version, options },
        { resume: params.resume },
      )
    : null;
  const records = recordsOf((opened?.records ?? []) as EvaluationRecord[], async (record) => {
    if (opened) await turn.during(opened.journal.append([record]));
  });
  const rivals = params.rivals && plan.works.length > 0 ? new RivalArms(model, arms[1] ?? null) : null;
  const progress = progressOf(call);
  const start = performance.now();
  try {
    for (const record of plan.skipped) if (!records.has(record)) await records.add(record);
    if (plan.works.length > 0) await evaluateLabelled(model, plan, arms, rivals, records, turn, progress);
    if (questions.length > 0) await evaluateGenerated(engine, questions, arms, records, turn, progress);
  } finally {
    await opened?.journal.close();
  }
  const tasks: TaskResult[] = [];
  for (const { name, kind } of plan.tasks) {
    const result = taskResult({ name, kind, shots: params.shots }, records.all, 42);
    tasks.push({ ...result, ...(await rivals?.results(name, records.all, turn)) });
  }
  for (const name of new Set(questions.map(({ task }) => task))) tasks.push(generatedResult(name, records.all));
  const result: EvaluateResult = {
    tasks,
    mean: meanOf(tasks),
    record: {
      ...options,
      model: model.info.name,
      sha256: model.info.sha256,
      version,
      llamaCpp: model.native.backend.llamaCpp,
      seconds: Math.round((performance.now() - start) / 100) / 10,
    },
  };
  if (params.out)
    await writeReports(
      params.out,
      result,
      `${model.info.name}: ${tasks.length === 1 ? tasks[0]?.name : `${tasks.length} tasks`}, ${params.shots} shots`,
    );
  return result;
}

/** Tells how far the run is, at most ten times a second and at the end of each part. */
function progressOf(call: Call<"evaluate">) {
  const start = performance.now();
  let told = Number.NEGATIVE_INFINITY;
  let count = 0;
  return {
    evaluated: () => {
      count++;
    },
    tell: (task: string, done: number, total: number) => {
      const now = performance.now();
      if (now - told < 100 && done < total) return;
      told = now;
      call.progress({ task, done, total, promptsPerSecond: count / Math.max(1e-3, (now - start) / 1000) });
    },
  };
}

/** Everything the records depend on. */
function optionsOf(model: Model, params: EvaluateParams, plan: Plan, questions: readonly Question[]) {
  const items = createHash("sha256");
  for (const { tokens, item } of [...plan.works, ...plan.training]) items.update(JSON.stringify([item.id, item.label, tokens]));
  for (const { id, prompt, sampling } of questions) items.update(JSON.stringify([id, prompt, sampling]));
  const calibration: Calibration | null = params.calibration;
  return {
    tasks: [...plan.tasks.map(({ name, version: own }) => `${name} v${own}`), ...new Set(questions.map(({ task }) => task))],
    shots: params.shots,
    seeds: params.shots === 0 ? [] : Array.from({ length: params.seeds }, (_, i) => 42 * i),
    split: params.split ?? "test",
    limit: params.limit ?? null,
    contextual: params.contextual ?? false,
    rivals: params.rivals ?? false,
    calibration,
    items: items.digest("hex"),
    patchSet: model.native.backend.patchSet,
    backend: model.info.backend,
    flashAttention: model.info.flashAttention,
  };
}

async function writeReports(folder: string, result: EvaluateResult, title: string): Promise<void> {
  await writeFileAtomic(path.join(folder, "result.json"), `${JSON.stringify(result, null, 2)}\n`);
  await writeFileAtomic(path.join(folder, "report.md"), evaluationMarkdown(result));
  await writeFileAtomic(path.join(folder, "report.svg"), evaluationSvg(result, title));
  await writeFileAtomic(path.join(folder, "report.html"), evaluationHtml(result, title));
}
