import { createHash } from "node:crypto";
import path from "node:path";
import { type Answer, argmax, type EvaluationRecord, meanOf, taskResult } from "../../core/evaluation/evaluate.js";
import { evaluationHtml, evaluationMarkdown, evaluationSvg } from "../../core/evaluation/report.js";
import { prompt, shotsOfRepeat } from "../../core/tasks/prompts.js";
import type { Item, Task } from "../../core/tasks/task.js";
import type { Calibration } from "../../protocol/calibration.js";
import type { EvaluateParams, EvaluateResult } from "../../protocol/engine.js";
import { ActError } from "../../protocol/errors.js";
import type { Call } from "../../protocol/rpc.js";
import { version } from "../../protocol/version.js";
import { writeFileAtomic } from "../../store/atomic.js";
import { loadTask } from "../../store/data.js";
import { Journal } from "../../store/journal.js";
import type { Engine, Handler } from "../engine.js";
import type { Turn } from "../queue.js";
import type { Model } from "../run/model.js";
import { SetBatch } from "../run/set-batch.js";
import { contentFreeItems, labelTokens } from "../search/task-items.js";

export const evaluate: Handler<"evaluate"> = async (engine, params, call) => {
  return await engine.queue.run("evaluate", "background", call.signal, async (turn) => await run(engine, params, call, turn));
};

/** One prompt to evaluate in both arms. */
interface Work {
  task: Task;
  repeat: number;
  item: Item;
  tokens: number[];
}

interface Plan {
  works: Work[];
  skipped: EvaluationRecord[];
  contentFree: { task: Task; repeat: number; tokens: number[][] }[];
  tasks: Task[];
}

async function planOf(model: Model, params: EvaluateParams, turn: Turn): Promise<Plan> {
  const plan: Plan = { works: [], skipped: [], contentFree: [], tasks: [] };
  const most = Math.min(model.info.ubatch, model.info.contextSize);
  for (const name of params.tasks) {
    const reading = loadTask(name, { ...(params.data === undefined ? {} : { data: params.data }), signal: turn.signal });
    const { task, train, test } = await turn.during(reading);
    if (plan.tasks.some((one) => one.name === task.name)) throw new ActError("usage", `The task ${task.name} is named twice.`);
    plan.tasks.push(task);
    labelTokens(model, task);
    const items = (params.split === "train" ? train : test).slice(0, params.limit);
    if (items.length === 0) throw new ActError("data", `The task ${task.name} has no items in its ${params.split ?? "test"} split.`);
    // Without shots every repeat would be the same.
    const repeats = params.shots === 0 ? 1 : params.seeds;
    for (let repeat = 0; repeat < repeats; repeat++) {
      const shots = params.shots === 0 ? [] : shotsOfRepeat(train, params.shots, repeat);
      for (const item of items) {
        await turn.rest();
        const tokens = model.encode(prompt(task, item, shots));
        if (tokens.length <= most) plan.works.push({ task, repeat, item, tokens });
        else plan.skipped.push({ type: "skipped", task: task.name, repeat, id: item.id, tokens: tokens.length });
      }
      const free = params.contextual ? contentFreeItems(model, task, shots).map(({ tokens }) => [...tokens]) : [];
      if (free.length > 0 && free.every((tokens) => tokens.length <= most)) plan.contentFree.push({ task, repeat, tokens: free });
    }
  }
  if (plan.works.length === 0)
    throw new ActError("context-overflow", `No prompt fits this model's context: one segment holds ${most} tokens.`);
  return plan;
}

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
  const records = (opened?.records ?? []) as EvaluationRecord[];
  const add = async (record: EvaluationRecord) => {
    if (opened) await turn.during(opened.journal.append([record]));
    records.push(record);
  };
  const start = performance.now();
  try {
    const done = new Set(records.map(keyOf));
    for (const record of plan.skipped) if (!done.has(keyOf(record))) await add(record);
    const longest = Math.max(
      ...plan.works.map(({ tokens }) => tokens.length),
      ...plan.contentFree.flatMap(({ tokens }) => tokens.map((one) => one.length)),
    );
    await model.withSegments({ segment: longest * arms.length, contextSize: longest, sequences: arms.length }, async (context) => {
      const batch = new SetBatch(context, turn);
      let evaluated = 0;
      let told = Number.NEGATIVE_INFINITY;
      const total = plan.works.length;
      for (const [index, work] of plan.works.entries()) {
        if (!done.has(keyOf({ type: "item", task: work.task.name, repeat: work.repeat, id: work.item.id }))) {
          const [off, on = off] = await batch.prompt(work.tokens, arms, call.signal);
          await add({
            type: "item",
            task: work.task.name,
            repeat: work.repeat,
            id: work.item.id,
            label: work.item.label,
            tokens: work.tokens.length,
            off: answerOf(model, work, off as Float32Array),
            on: answerOf(model, work, on as Float32Array),
          });
          evaluated++;
        }
        if (performance.now() - told >= 100 || index === total - 1) {
          told = performance.now();
          call.progress({
            task: work.task.name,
            done: index + 1,
            total,
            promptsPerSecond: evaluated / Math.max(1e-3, (told - start) / 1000),
          });
        }
      }
      for (const { task, repeat, tokens } of plan.contentFree) {
        if (done.has(keyOf({ type: "content-free", task: task.name, repeat }))) continue;
        const labels = labelTokens(model, task);
        const scores: { off: number[][]; on: number[][] } = { off: [], on: [] };
        for (const one of tokens) {
          const [off, on = off] = await batch.prompt(one, arms, call.signal);
          scores.off.push(labels.map((token) => (off as Float32Array)[token] as number));
          scores.on.push(labels.map((token) => (on as Float32Array)[token] as number));
        }
        await add({ type: "content-free", task: task.name, repeat, ...scores });
      }
    });
  } finally {
    await opened?.journal.close();
  }
  const tasks = plan.tasks.map((task) => taskResult({ name: task.name, kind: task.kind, shots: params.shots }, records, 42));
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

function keyOf(record: { type: string; task: string; repeat: number; id?: string }): string {
  return [record.type === "content-free" ? "free" : "item", record.task, record.repeat, record.id ?? ""].join("\n");
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
  for (const { tokens, item } of plan.works) items.update(JSON.stringify([item.id, item.label, tokens]));
  const calibration: Calibration | null = params.calibration;
  return {
    tasks: plan.tasks.map(({ name, version: own }) => `${name} v${own}`),
    shots: params.shots,
    seeds: params.shots === 0 ? [] : Array.from({ length: params.seeds }, (_, i) => 42 * i),
    split: params.split ?? "test",
    limit: params.limit ?? null,
    contextual: params.contextual ?? false,
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
