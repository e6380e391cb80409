import { createHash } from "node:crypto";
import fs from "node:fs/promises";
import path from "node:path";
import { chooseLabeller, type Labeller } from "../../core/label/choose.js";
import { writesNumbers } from "../../core/label/marks.js";
import { argmax } from "../../core/numbers/scores.js";
import type { Row } from "../../core/rivals/rules.js";
import type { Calibration } from "../../protocol/calibration.js";
import type { LabelParams, LabelResult } from "../../protocol/engine.js";
import { ActError } from "../../protocol/errors.js";
import type { Call } from "../../protocol/rpc.js";
import { version } from "../../protocol/version.js";
import { writeFileAtomic } from "../../store/atomic.js";
import { Journal } from "../../store/journal.js";
import type { Cells } from "../../store/label-table.js";
import type { Engine, Handler } from "../engine.js";
import { type LabelPlan, labelPlan } from "../label/examples.js";
import type { Turn } from "../queue.js";
import type { Model } from "../run/model.js";
import { SetBatch } from "../run/set-batch.js";
import { labelTokens } from "../search/task-items.js";

/** Labels the rows of a table by the rule that is best on rows already labelled, into another file. A run that was cut off goes on. */
export const label: Handler<"label"> = async (engine, params, call) => {
  return await engine.queue.run("label", "background", call.signal, async (turn) => await run(engine, params, call, turn));
};

/** An example's scores (and hidden state, in base64), or a row's answer. */
type LabelRecord =
  | { type: "example"; index: number; off: number[]; on: number[] | null; hidden: string }
  | { type: "row"; row: number; label: number; probability: number };

async function run({ model }: Engine, params: LabelParams, call: Call<"label">, turn: Turn): Promise<LabelResult> {
  model.checkCalibration(params.calibration);
  await checkOutput(params);
  const plan = await labelPlan(model, params, turn);
  const set = params.calibration && params.calibration.heads.length > 0 ? params.calibration : null;
  const file = `${params.out}.journal`;
  const { journal, records } = await Journal.open(
    file,
    {
      kind: "label",
      model: { name: model.info.name, sha256: model.info.sha256 },
      version,
      options: await optionsOf(model, plan, set, turn),
    },
    { resume: params.resume },
  );
  const known = records as LabelRecord[];
  const add = async (record: LabelRecord) => {
    await turn.during(journal.append([record]));
    known.push(record);
  };
  const tell = progressOf(call, plan);
  let labeller: Labeller;
  try {
    labeller = await learn(model, plan, set, known, add, turn, tell);
    await answer(model, plan, labeller, set, known, add, turn, tell);
  } finally {
    await journal.close();
  }
  const cells = cellsOf(plan, known, params.confidence ?? 0);
  await turn.during(writeFileAtomic(params.out, plan.table.render(cells)));
  await fs.rm(file, { force: true });
  const labelled = plan.open.filter(({ row }) => cells[row]?.label !== null).length;
  return {
    labelled,
    blank: plan.open.length - labelled,
    unjudged: plan.open.filter(({ tokens }) => !tokens).length,
    marked: plan.table.rows.length - plan.open.length,
    method: labeller.best.name,
    expected: labeller.expected,
    ...(params.confidence !== undefined && { confident: labeller.above(params.confidence) }),
    rivals: labeller.rivals,
    out: params.out,
  };
}

/** The output must be a new file: neither the input nor an earlier answer is written over. */
async function checkOutput(params: LabelParams): Promise<void> {
  if (path.resolve(params.in) === path.resolve(params.out))
    throw new ActError("usage", `The labelled rows would be written over ${params.in}; name another file.`);
  const there = await fs.lstat(params.out).catch(() => null);
  if (there) throw new ActError("usage", `${params.out} is there already; remove it, or name another file for the labelled rows.`);
  const folder = path.dirname(path.resolve(params.out));
  if (!(await fs.stat(folder).catch(() => null))) throw new ActError("usage", `The folder ${folder} for the labelled rows does not exist.`);
}

/** Evaluates the examples that have no record yet, and finds the rule. */
async function learn(
  model: Model,
  { task, examples }: LabelPlan,
  set: Calibration | null,
  known: readonly LabelRecord[],
  add: (record: LabelRecord) => Promise<void>,
  turn: Turn,
  tell: (part: string) => void,
): Promise<Labeller> {
  const done = new Set(known.flatMap((record) => (record.type === "example" ? [record.index] : [])));
  const answers = labelTokens(model, task);
  const longest = Math.max(...examples.map(({ tokens }) => tokens.length));
  if (done.size < examples.length)
    await model.withSegments({ segment: longest, embeddings: true }, async (context) => {
      const batch = new SetBatch(context, turn);
      for (const [index, { tokens }] of examples.entries()) {
        if (done.has(index)) continue;
        const on = set && (await scores(batch, tokens, set, answers, turn, true));
        const off = await scores(batch, tokens, null, answers, turn, true);
        const hidden = Buffer.from(context.lastHiddenState(tokens.length).buffer).toString("base64");
        await add({ type: "example", index, off, on, hidden });
        tell("labelled rows");
      }
    });
  const rows: { off: Row[]; on: Row[] } = { off: [], on: [] };
  for (const record of known) {
    if (record.type !== "example") continue;
    const { label: right } = examples[record.index] as { label: number };
    const hidden = stateOf(record.hidden);
    rows.off[record.index] = { scores: record.off, label: right, hidden };
    if (record.on) rows.on[record.index] = { scores: record.on, label: right, hidden };
  }
  return await chooseLabeller({ off: rows.off, on: set ? rows.on : undefined }, () => turn.rest());
}

/** Labels the rows that have no record yet, by the one evaluation that the rule needs. */
async function answer(
  model: Model,
  { task, open }: LabelPlan,
  { best }: Labeller,
  set: Calibration | null,
  known: readonly LabelRecord[],
  add: (record: LabelRecord) => Promise<void>,
  turn: Turn,
  tell: (part: string) => void,
): Promise<void> {
  const done = new Set(known.flatMap((record) => (record.type === "row" ? [record.row] : [])));
  const missing = open.filter(({ row, tokens }) => tokens && !done.has(row));
  if (missing.length === 0) return;
  const answers = labelTokens(model, task);
  const probe = best.needsHidden;
  const longest = Math.max(...missing.map(({ tokens }) => tokens?.length ?? 0));
  await model.withSegments({ segment: longest, embeddings: probe }, async (context) => {
    const batch = new SetBatch(context, turn);
    for (const { row, tokens } of missing) {
      if (!tokens) continue;
      const own = await scores(batch, tokens, best.arm === "on" ? set : null, answers, turn, probe);
      const probabilities = best.rule({ scores: own, ...(probe && { hidden: context.lastHiddenState(tokens.length) }) });
      const chosen = argmax(probabilities);
      await add({ type: "row", row, label: chosen, probability: probabilities[chosen] as number });
      tell("rows");
    }
  });
}

/** Scores of the answers under a calibration. `all`: the context keeps hidden states, so every token is an output. */
async function scores(
  batch: SetBatch,
  tokens: readonly number[],
  calibration: Calibration | null,
  answers: readonly number[],
  turn: Turn,
  all: boolean,
): Promise<number[]> {
  await batch.untilDone(turn.signal, async (stop) => {
    batch.begin([calibration]);
    return await batch.decode(tokens, 0, 1, stop, all);
  });
  const logits = await batch.context.logits(tokens.length - 1);
  return answers.map((token) => logits[token] as number);
}

function stateOf(text: string): Float32Array {
  const bytes = Buffer.from(text, "base64");
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
}

/** Labels in the form of the table's marks; without marks numbers in JSON Lines, as the data sets have them, and words elsewhere. */
function cellsOf({ task, table, marks }: LabelPlan, known: readonly LabelRecord[], confidence: number): Cells[] {
  const numbers = writesNumbers(
    task,
    marks.filter((mark) => mark !== null),
    table.format === "jsonl",
  );
  const cells: Cells[] = table.rows.map(() => ({ label: null, probability: null }));
  for (const record of known) {
    if (record.type !== "row") continue;
    const { row, label: index, probability } = record;
    const written = numbers ? index : (task.labelWords[index] as string).trim();
    cells[row] = { label: probability >= confidence ? written : null, probability };
  }
  return cells;
}

function progressOf(call: Call<"label">, { examples, open }: LabelPlan) {
  const start = performance.now();
  const total = examples.length + open.length;
  let done = 0;
  return (task: string) => {
    done++;
    call.progress({ task, done, total, promptsPerSecond: done / Math.max(1e-3, (performance.now() - start) / 1000) });
  };
}

/** Everything the records depend on. The confidence is not: it only decides what is left blank. */
async function optionsOf(model: Model, { task, examples, open }: LabelPlan, set: Calibration | null, turn: Turn) {
  const hash = createHash("sha256").update(JSON.stringify(task.labelWords));
  for (const one of [...examples, ...open]) {
    await turn.rest();
    hash.update(JSON.stringify(one));
  }
  return {
    task: task.name,
    rows: hash.digest("hex"),
    calibration: set,
    patchSet: model.native.backend.patchSet,
    backend: model.info.backend,
  };
}
