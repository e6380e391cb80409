import { createHash } from "node:crypto";
import fs from "node:fs/promises";
import path from "node:path";
import { type AnswerLine, answered, MAX_NEW_TOKENS, parseQuestions, type Question, TEMPERATURE } from "../../core/evaluation/mt-bench.js";
import type { Calibration } from "../../protocol/calibration.js";
import type { ChatMessage, MtBenchParams } from "../../protocol/engine.js";
import { ActError } from "../../protocol/errors.js";
import type { Call } from "../../protocol/rpc.js";
import { version } from "../../protocol/version.js";
import { storeError, writeFileAtomic } from "../../store/atomic.js";
import { loadMtBench } from "../../store/data.js";
import type { Engine, Handler } from "../engine.js";
import type { Turn } from "../queue.js";
import { generate } from "../run/generate.js";

/** Answers without and, where a head set is given, with it. A run that was interrupted goes on with the questions that have no answer yet. */
export const mtBench: Handler<"mtBench"> = async (engine, params, call) => {
  return await engine.queue.run("mt-bench", "background", call.signal, async (turn) => {
    engine.model.checkCalibration(params.calibration);
    const { text, file } = await loadMtBench({ ...(params.data === undefined ? {} : { data: params.data }), signal: call.signal });
    const questions = parseQuestions(text, file).slice(0, params.limit);
    const name = engine.model.info.name.replace(/[^\w.-]+/g, "-");
    const arms: { id: string; calibration: Calibration | null }[] = [{ id: name, calibration: null }];
    if (params.calibration && params.calibration.heads.length > 0)
      arms.push({ id: `${name}-act-${params.calibration.statistics}`, calibration: params.calibration });
    const files: { path: string; answers: number }[] = [];
    for (const [index, { id, calibration }] of arms.entries()) {
      const tell = (done: number, promptsPerSecond: number) =>
        call.progress({ task: id, done: index * questions.length + done, total: arms.length * questions.length, promptsPerSecond });
      files.push(await answerAll(engine, turn, params, { id, calibration, questions, tell }, call));
    }
    return { files };
  });
};

interface Arm {
  id: string;
  calibration: Calibration | null;
  questions: readonly Question[];
  tell(done: number, promptsPerSecond: number): void;
}

async function answerAll(
  engine: Engine,
  turn: Turn,
  params: MtBenchParams,
  arm: Arm,
  call: Call<"mtBench">,
): Promise<{ path: string; answers: number }> {
  const folder = path.join(params.out, "model_answer");
  const file = path.join(folder, `${arm.id}.jsonl`);
  const { info, native } = engine.model;
  const maxTokens = params.maxTokens ?? MAX_NEW_TOKENS;
  const record = {
    modelId: arm.id,
    model: info.name,
    sha256: info.sha256,
    patchSet: native.backend.patchSet,
    version,
    maxTokens,
    temperature: TEMPERATURE,
    calibration: arm.calibration,
  };
  await sameRun(path.join(params.out, `${arm.id}.run.json`), record);

  const before = await fs.readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return "";
    throw storeError(error, file);
  });
  const { questions: done, complete } = answered(before);
  if (complete !== before) await writeFileAtomic(file, complete);
  await fs.mkdir(folder, { recursive: true });
  const start = performance.now();
  let answers = 0;
  for (const [i, question] of arm.questions.entries()) {
    if (!done.has(question.id)) {
      const turns = await answerQuestion(engine, turn, question, arm, maxTokens, call);
      const line: AnswerLine = {
        question_id: question.id,
        answer_id: createHash("sha256").update(`${arm.id} ${question.id}`).digest("hex").slice(0, 22),
        model_id: arm.id,
        choices: [{ index: 0, turns }],
        tstamp: Date.now() / 1000,
      };
      await fs.appendFile(file, `${JSON.stringify(line)}\n`).catch((error: unknown) => {
        throw storeError(error, file);
      });
      answers++;
    }
    arm.tell(i + 1, answers / Math.max(1e-3, (performance.now() - start) / 1000));
  }
  return { path: file, answers: arm.questions.length };
}

/** Both turns; the second one sees the first answer. Sampling is seeded by the question, so that a resumed run writes the same. */
async function answerQuestion(
  engine: Engine,
  turn: Turn,
  question: Question,
  arm: Arm,
  maxTokens: number,
  call: Call<"mtBench">,
): Promise<string[]> {
  const messages: ChatMessage[] = [];
  const turns: string[] = [];
  for (const content of question.turns) {
    messages.push({ role: "user", content });
    const prompt = engine.model.encodeChat(messages);
    const room = engine.model.info.contextSize - prompt.length;
    const result = await generate(engine, turn, {
      owner: `mt-bench ${arm.id}`,
      prompt,
      calibration: arm.calibration,
      sampling: { maxTokens: Math.min(maxTokens, Math.max(1, room)), temperature: TEMPERATURE[question.category] ?? 0, seed: question.id },
      onText: () => {
        if (call.signal.aborted) throw new ActError("cancelled", "The request was cancelled.");
      },
    });
    const text = result.text.trim();
    turns.push(text);
    messages.push({ role: "assistant", content: text });
  }
  return turns;
}

/** Answers of another model, version or calibration are never mixed with these. */
async function sameRun(file: string, record: object): Promise<void> {
  const text = `${JSON.stringify(record, null, 2)}\n`;
  const before = await fs.readFile(file, "utf8").catch(() => null);
  if (before !== null && before !== text)
    throw new ActError(
      "usage",
      `The answers beside ${file} were made with another model, version, calibration or length. Choose another --out folder.`,
    );
  if (before === null) await writeFileAtomic(file, text);
}
