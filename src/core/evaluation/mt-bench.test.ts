import assert from "node:assert/strict";
import { test } from "node:test";
import { answered, parseQuestions } from "./mt-bench.js";

const question = { id: "mt_bench-81", category: "writing", turns: ["a", "b"] };

test("questions in FastChat's form and in this project's", () => {
  const text = `${JSON.stringify(question)}\n${JSON.stringify({ question_id: 82, category: "math", turns: ["c", "d"] })}\n`;
  assert.deepEqual(
    parseQuestions(text, "q.jsonl").map(({ id }) => id),
    [81, 82],
  );
});

test("bad questions name file and line", () => {
  assert.throws(() => parseQuestions("", "q.jsonl"), /q\.jsonl is empty/);
  assert.throws(() => parseQuestions("{", "q.jsonl"), /q\.jsonl, line 1 is no JSON/);
  assert.throws(() => parseQuestions(JSON.stringify({ ...question, category: "cooking" }), "q.jsonl"), /category is no MT-Bench category/);
  assert.throws(() => parseQuestions(JSON.stringify({ ...question, turns: ["a"] }), "q.jsonl"), /turns must be two turns/);
  assert.throws(() => parseQuestions(JSON.stringify({ ...question, id: "x" }), "q.jsonl"), /has no number/);
});

test("an answer that was cut off is written again", () => {
  const line = JSON.stringify({ question_id: 81, answer_id: "x", model_id: "m", choices: [], tstamp: 1 });
  const { questions, complete } = answered(`${line}\n{"question_id": 82, "ans`);
  assert.deepEqual([...questions], [81]);
  assert.equal(complete, `${line}\n`);
});
