import { filledIn, type Problem, parseProblems, programOf } from "../../core/evaluation/infilling.js";
import type { GeneratedAnswer } from "../../core/evaluation/records.js";
import { judge, parseInstructionPrompts } from "../../core/ifeval/ifeval.js";
import { languageDetector } from "../../core/ifeval/language.js";
import type { Calibration } from "../../protocol/calibration.js";
import type { EvaluateParams, SamplingParams } from "../../protocol/engine.js";
import { ActError } from "../../protocol/errors.js";
import { loadSplit } from "../../store/data.js";
import type { Engine } from "../engine.js";
import { infillTokens } from "../handlers/infill.js";
import type { Turn } from "../queue.js";
import { generate } from "../run/generate.js";
import { needPython, runsWell } from "./python.js";
import type { Records } from "./rivals.js";

/** Tasks whose answers are generated and then checked: by rules, or by running them. */
export const GENERATED_TASKS = ["ifeval", "humaneval_infilling"] as const;
export type GeneratedTask = (typeof GENERATED_TASKS)[number];

export const isGenerated = (name: string): name is GeneratedTask => (GENERATED_TASKS as readonly string[]).includes(name);

/** One prompt, ready to be answered. */
export interface Question {
  task: GeneratedTask;
  id: string;
  prompt: number[];
  sampling: SamplingParams;
  check(text: string, turn: Turn): Promise<Omit<GeneratedAnswer, "text">>;
}

/** As MT-Bench: some prompts ask for 600 words and more. */
const ANSWER_TOKENS = 1024;
/** Tokens of a prompt as the editor makes it, and of what is filled in, by how much is left out. */
const INFILL_PROMPT_TOKENS = 1024;
/** Tokens that an answer must have room for. */
const LEAST_ROOM = 64;
const INFILL_TOKENS = { single: 64, span: 256 } as const;

/** @throws ActError `data`, `unsupported` (no chat template, no Python) */
export async function questionsOf(engine: Engine, task: GeneratedTask, params: EvaluateParams, turn: Turn): Promise<Question[]> {
  const reading = loadSplit(task, params.split ?? "test", {
    ...(params.data === undefined ? {} : { data: params.data }),
    signal: turn.signal,
  });
  const { text, file } = await turn.during(reading);
  if (task === "ifeval") return await instructionQuestions(engine, parseInstructionPrompts(text, file).slice(0, params.limit), turn);
  await turn.during(needPython(task));
  return await infillQuestions(engine, parseProblems(text, file).slice(0, params.limit), turn);
}

async function instructionQuestions(
  { model }: Engine,
  prompts: ReturnType<typeof parseInstructionPrompts>,
  turn: Turn,
): Promise<Question[]> {
  const detectLanguage = await languageDetector();
  const questions: Question[] = [];
  for (const one of prompts) {
    await turn.rest();
    questions.push({
      task: "ifeval",
      id: String(one.key),
      prompt: model.encodeChat([{ role: "user", content: one.prompt }]),
      sampling: { maxTokens: ANSWER_TOKENS, temperature: 0 },
      check: async (text) => {
        const followed = judge(one, text, detectLanguage);
        return { right: followed.every(Boolean), followed };
      },
    });
  }
  return questions;
}

async function infillQuestions({ model }: Engine, problems: readonly Problem[], turn: Turn): Promise<Question[]> {
  const questions: Question[] = [];
  for (const problem of problems) {
    await turn.rest();
    const { prefix, suffix, kind } = problem;
    const maxTokens = INFILL_TOKENS[kind];
    const { prompt } = infillTokens(model, { prefix, suffix, path: "solution.py", maxPromptTokens: INFILL_PROMPT_TOKENS, maxTokens });
    questions.push({
      task: "humaneval_infilling",
      id: problem.id,
      prompt,
      sampling: { maxTokens, temperature: 0 },
      check: async (text, own) => ({ right: await own.during(runsWell(programOf(problem, filledIn(kind, text)), own.signal)) }),
    });
  }
  return questions;
}

/**
 * Answers and checks the questions that have no record yet, greedily, in every arm. A prompt that leaves no room for an answer is counted and left out.
 * @throws ActError `cancelled`
 */
export async function evaluateGenerated(
  engine: Engine,
  questions: readonly Question[],
  arms: readonly (Calibration | null)[],
  records: Records,
  turn: Turn,
  progress: { evaluated(): void; tell(task: string, done: number, total: number): void },
): Promise<void> {
  for (const [index, question] of questions.entries()) {
    const { task, id, prompt } = question;
    if (!records.has({ type: "generated", task, repeat: 0, id })) {
      if (prompt.length + LEAST_ROOM > engine.model.info.contextSize)
        await records.add({ type: "skipped", task, repeat: 0, id, tokens: prompt.length });
      else {
        const answers: GeneratedAnswer[] = [];
        for (const calibration of arms) answers.push(await answer(engine, question, calibration, turn));
        const [off, on = off] = answers;
        await records.add({ type: "generated", task, repeat: 0, id, off: off as GeneratedAnswer, on: on as GeneratedAnswer });
      }
      progress.evaluated();
    }
    progress.tell(task, index + 1, questions.length);
  }
}

/** The greedy answer under a calibration, and what its check says. @throws ActError `cancelled` */
async function answer(engine: Engine, question: Question, calibration: Calibration | null, turn: Turn): Promise<GeneratedAnswer> {
  const { contextSize } = engine.model.info;
  const room = contextSize - question.prompt.length;
  const { text } = await generate(engine, turn, {
    owner: `evaluate ${question.task} ${calibration ? "on" : "off"}`,
    prompt: question.prompt,
    calibration,
    sampling: { ...question.sampling, maxTokens: Math.min(question.sampling.maxTokens ?? room, room) },
    onText: () => {
      if (turn.signal.aborted) throw new ActError("cancelled", "The request was cancelled.");
    },
  });
  return { text, ...(await question.check(text, turn)) };
}
