import assert from "node:assert/strict";
import { test } from "node:test";
import { parseOwnTask } from "../tasks/custom.js";
import { fieldNames, taskOfTable } from "./own-task.js";

test("every column has a name of its own that a template can hold", () => {
  assert.deepEqual(fieldNames(["text", "Review Text", "Review-Text", "テキスト", "", "text"]), [
    "text",
    "Review_Text",
    "column_3",
    "column_4",
    "column_5",
    "column_6",
  ]);
});

test("a task from a table's marks is a task file like any other", () => {
  const task = taskOfTable("my rows.csv", "Review Text", ["id", "Review Text"], ["neg", "pos", "neg ", 3]);
  assert.deepEqual(task.labelWords, [" 3", " neg", " pos"]);
  assert.equal(task.template, "Text: {Review_Text}\nCategory: ");
  const own = parseOwnTask(JSON.stringify({ task, train: [], test: [] }), "t.json");
  assert.deepEqual(own.task, task);
});

test("one label, or far too many, is a sentence", () => {
  assert.throws(() => taskOfTable("r.csv", "a", ["a"], ["x", "x"]), /r\.csv holds 1 different labels/);
  assert.throws(
    () =>
      taskOfTable(
        "r.csv",
        "a",
        ["a"],
        Array.from({ length: 50 }, (_, i) => `text ${i}`),
      ),
    /50 different labels/,
  );
});
