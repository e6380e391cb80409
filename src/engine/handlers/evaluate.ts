import { createHash } from "node:crypto";
import path from "node:path";
import { meanOf, taskResult } from "../../core/evaluation/evaluate.js";
import type { Answer, EvaluationRecord } from "../../core/evaluation/records.js";
import { evaluationHtml, evaluationMarkdown, evaluationSvg } from "../../core/evaluation/report.js";
import { argmax } from "../../core/numbers/scores.js";
import type { Calibration } from "../../protocol/calibration.js";
import type { EvaluateParams, EvaluateResult, TaskResult } from "../../protocol/engine.js";
import type { Call } from "../../protocol/rpc.js";
import { version } from "../../protocol/version.js";
import { writeFileAtomic } from "../../store/atomic.js";
import { Journal } from "../../store/journal.js";
import type { Engine, Handler } from "../engine.js";
import { type Plan, planOf, type Work } from "../evaluation/plan.js";
import { RivalArms, recordsOf } from "../evaluation/rivals.js";
import type { Turn } from "../queue.js";
import type { Model } from "../run/model.js";
import { SetBatch } from "../run/set-batch.js";
import { labelTokens } from "../search/task-items.js";

export const evaluate: Handler<"evaluate"> = async (engine, params, call) => {
  return await engine.queue.run("evaluate", "background", call.signal, async (turn) => await run(engine, params, call, turn));
};

async function run(engine: Engine, params: EvaluateParams, call: Call<"evaluate">, turn: Turn): Promise<EvaluateResult> {
  const { model } = engine;
  model.checkCalibration(params.calibration);
  const plan = await planOf(model, params, turn);
  const arms = params.calibration && params.calibration.heads.length > 0 ? [null, params.calibration] : [null];
  const options = optionsOf(model, params, plan);
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
  const rivals = params.rivals ? new RivalArms(model, arms[1] ?? null) : null;
  const { tell, evaluated } = progressOf(call);
  const start = performance.now();
  try {
    for (const record of plan.skipped) if (!records.has(record)) await records.add(record);
    const longest = Math.max(
      ...[...plan.works, ...plan.training].map(({ tokens }) => tokens.length),
      ...plan.contentFree.flatMap(({ tokens }) => tokens.map((one) => one.length)),
    );
    await model.withSegments({ segment: longest * arms.length, contextSize: longest, sequences: arms.length }, async (context) => {
      const batch = new SetBatch(context, turn);
      for (const [index, work] of plan.training.entries()) {
        if (!rivals || records.has({ type: "training", task: work.task.name, repeat: work.repeat, id: work.item.id })) continue;
        await records.add(await rivals.training(batch, work, call.signal));
        evaluated();
        tell(`${work.task.name}, training prompts`, index + 1, plan.training.length);
      }
      for (const [index, work] of plan.works.entries()) {
        if (!records.has({ type: "item", task: work.task.name, repeat: work.repeat, id: work.item.id })) {
          const more = rivals?.judged(records.all, work) ?? [];
          const logits = await batch.prompt(work.tokens, [...arms, ...more], call.signal);
          const [off, on = off] = logits.slice(0, arms.length);
          await records.add({
            type: "item",
            task: work.task.name,
            repeat: work.repeat,
            id: work.item.id,
            label: work.item.label,
            tokens: work.tokens.length,
            off: answerOf(model, work, off as Float32Array),
            on: answerOf(model, work, on as Float32Array),
            ...(rivals && { rivals: rivals.scores(work, logits.slice(arms.length)) }),
          });
          evaluated();
        }
        tell(work.task.name, index + 1, plan.works.length);
      }
      for (const { task, repeat, tokens } of plan.contentFree) {
        if (records.has({ type: "content-free", task: task.name, repeat })) continue;
        const labels = labelTokens(model, task);
        const scores: { off: number[][]; on: number[][] } = { off: [], on: [] };
        for (const one of tokens) {
          const [off, on = off] = await batch.prompt(one, arms, call.signal);
          scores.off.push(labels.map((token) => (off as Float32Array)[token] as number));
          scores.on.push(labels.map((token) => (on as Float32Array)[token] as number));
        }
        await records.add({ type: "content-free", task: task.name, repeat, ...scores });
      }
    });
    await rivals?.hidden(plan, records, turn, (done, total) => tell("hidden states", done, total));
  } finally {
    await opened?.journal.close();
  }
  const tasks: TaskResult[] = [];
  for (const { name, kind } of plan.tasks) {
    const result = taskResult({ name, kind, shots: params.shots }, records.all, 42);
    tasks.push({ ...result, ...(await rivals?.results(name, records.all, turn)) });
  }
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

/** The published scoring: the label word's logit for classification, the one greedy token's text for multiple choice. */
function answerOf(model: Model, { task, item }: Work, logits: Float32Array): Answer {
  const scores = labelTokens(model, task, item.choices?.length).map((token) => logits[token] as number);
  if (task.kind === "classification") return { right: argmax(scores) === item.label, scores };
  let best = 0;
  for (let id = 1; id < logits.length; id++) if ((logits[id] as number) > (logits[best] as number)) best = id;
  const written = model.native.detokenize([best]);
  return { right: written === task.letters[item.label], scores, written };
}

/** Everything the records depend on. */
function optionsOf(model: Model, params: EvaluateParams, plan: Plan) {
  const items = createHash("sha256");
  for (const { tokens, item } of [...plan.works, ...plan.training]) items.update(JSON.stringify([item.id, item.label, tokens]));
  const calibration: Calibration | null = params.calibration;
  return {
    tasks: plan.tasks.map(({ name, version: own }) => `${name} v${own}`),
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
