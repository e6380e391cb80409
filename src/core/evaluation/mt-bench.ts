/** MT-Bench as FastChat's llm_judge reads and writes it: questions in, answer lines out. The answers are judged elsewhere. */
import * as v from "valibot";
import { ActError } from "../../protocol/errors.js";

/** Published generation settings: temperature by category, tokens of one answer. */
export const TEMPERATURE: Readonly<Record<string, number>> = {
  writing: 0.7,
  roleplay: 0.7,
  extraction: 0,
  math: 0,
  coding: 0,
  reasoning: 0,
  stem: 0.1,
  humanities: 0.1,
};
export const MAX_NEW_TOKENS = 1024;

const QuestionSchema = v.looseObject({
  id: v.optional(v.string()),
  question_id: v.optional(v.number()),
  category: v.pipe(
    v.string(),
    v.check((name) => name in TEMPERATURE, "is no MT-Bench category"),
  ),
  turns: v.pipe(v.array(v.string()), v.length(2, "must be two turns")),
});

export interface Question {
  id: number;
  category: string;
  turns: string[];
}

/** FastChat's own question file or this project's (`id` = "mt_bench-81"). @throws ActError `data` naming file and line */
export function parseQuestions(text: string, file: string): Question[] {
  const lines = text.split("\n").filter((line, i, all) => line !== "" || i < all.length - 1);
  if (lines.length === 0) throw new ActError("data", `${file} is empty; expected one MT-Bench question a line.`);
  return lines.map((line, i) => {
    const where = `${file}, line ${i + 1}`;
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch (error) {
      throw new ActError("data", `${where} is no JSON: ${(error as Error).message}`);
    }
    const parsed = v.safeParse(QuestionSchema, value);
    if (!parsed.success)
      throw new ActError("data", `${where}: ${v.getDotPath(parsed.issues[0]) ?? "question"} ${parsed.issues[0].message}.`);
    const { id, question_id, category, turns } = parsed.output;
    const number = question_id ?? Number(/(\d+)$/.exec(id ?? "")?.[1] ?? Number.NaN);
    if (!Number.isInteger(number)) throw new ActError("data", `${where}: the question has no number.`);
    return { id: number, category, turns };
  });
}

/** One line of FastChat's model_answer/MODEL.jsonl. */
export interface AnswerLine {
  question_id: number;
  answer_id: string;
  model_id: string;
  choices: { index: number; turns: string[] }[];
  /** Seconds since 1970. */
  tstamp: number;
}

/** Numbers of the questions that an answer file already holds; a line that was being written when the run ended does not count. */
export function answered(text: string): { questions: Set<number>; complete: string } {
  const questions = new Set<number>();
  const end = text.lastIndexOf("\n") + 1;
  for (const line of text.slice(0, end).split("\n").filter(Boolean)) questions.add((JSON.parse(line) as AnswerLine).question_id);
  return { questions, complete: text.slice(0, end) };
}
