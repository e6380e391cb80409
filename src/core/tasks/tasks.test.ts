import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ActError } from "../../protocol/errors.js";
import { parseOwnTask } from "./custom.js";
import { findTask, PUBLISHED_SEARCH_SAMPLES, TASKS } from "./index.js";
import { contentFreePrompt, prompt, shotsOfRepeat } from "./prompts.js";
import { type Item, parseItems } from "./task.js";

const folder = [process.env.ACT_DATA, "../shared/data"].find((path) => path && existsSync(join(path, "tasks.json")));
const skip = folder ? false : "No evaluation data here: set ACT_DATA to its folder to compare the prompts with the published ones.";

interface Published {
  calibration: { samples_per_task: number; exceptions: Record<string, number> };
  tasks: Record<
    string,
    {
      kind: string;
      instruction: string;
      template: string;
      label_words?: string[];
      option_format?: string;
      letters?: string;
      max_choices?: number;
    }
  >;
}
const published = () => JSON.parse(readFileSync(join(folder as string, "tasks.json"), "utf8")) as Published;
const lines = (task: string, split: string) =>
  readFileSync(join(folder as string, task, `${split}.jsonl`), "utf8")
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Record<string, unknown>);

test("all sixteen tasks, each with the published facts", { skip }, () => {
  const facts = published();
  const names = Object.keys(facts.tasks).filter((name) => facts.tasks[name]?.kind !== "chat");
  assert.deepEqual(TASKS.map((task) => task.name).sort(), names.sort());
  for (const task of TASKS) {
    const fact = facts.tasks[task.name] as NonNullable<Published["tasks"][string]>;
    assert.equal(task.kind, fact.kind.replace("_", "-"));
    assert.equal(task.instruction, fact.instruction);
    assert.equal(task.template, fact.template);
    assert.equal(
      task.searchSamples ?? PUBLISHED_SEARCH_SAMPLES,
      facts.calibration.exceptions[task.name] ?? facts.calibration.samples_per_task,
    );
    if (task.kind === "classification") assert.deepEqual(task.labelWords, fact.label_words);
    else assert.deepEqual([task.optionFormat, task.letters, task.maxChoices], [fact.option_format, fact.letters, fact.max_choices]);
  }
});

/** The published assembly, written down a second time from tasks.json's "prompt" sentences, with plain string concatenation. */
function expectedPrompt(name: string, row: Record<string, unknown>, shots: Record<string, unknown>[]): string {
  const fact = published().tasks[name] as NonNullable<Published["tasks"][string]>;
  const render = (one: Record<string, unknown>) => {
    let options = "";
    (one.choices as string[] | undefined)?.forEach((choice, i) => {
      options += (fact.option_format as string).split("{letter}").join(fact.letters?.charAt(i)).split("{choice}").join(choice);
    });
    // Pieces between the template's fields, so that no text of an item is ever searched for braces.
    return fact.template
      .split(/(\{\w+\})/)
      .map((piece) => (piece === "{options}" ? options : /^\{\w+\}$/.test(piece) ? String(one[piece.slice(1, -1)]) : piece))
      .join("");
  };
  const classification = fact.kind === "classification";
  const shown = (one: Record<string, unknown>) =>
    classification ? fact.label_words?.[one.label as number] : ` ${fact.letters?.charAt(one.label as number)}`;
  return fact.instruction + (classification ? "" : "\n\n") + shots.map((one) => `${render(one)}${shown(one)}\n\n`).join("") + render(row);
}

for (const task of TASKS) {
  test(`${task.name}: every test prompt and few-shot prompts, character by character`, { skip }, () => {
    const rows = lines(task.name, "test");
    const items = parseItems(task, readFileSync(join(folder as string, task.name, "test.jsonl"), "utf8"), "test.jsonl");
    const trainRows = lines(task.name, "train");
    const train = parseItems(task, readFileSync(join(folder as string, task.name, "train.jsonl"), "utf8"), "train.jsonl");
    assert.equal(items.length, rows.length);
    items.forEach((item, i) => {
      assert.equal(prompt(task, item), expectedPrompt(task.name, rows[i] as Record<string, unknown>, []));
    });
    const shots = shotsOfRepeat(train, 3, 1);
    const shotRows = shots.map((shot) => trainRows[train.indexOf(shot)] as Record<string, unknown>);
    items.slice(0, 20).forEach((item, i) => {
      assert.equal(prompt(task, item, shots), expectedPrompt(task.name, rows[i] as Record<string, unknown>, shotRows));
    });
  });
}

test("a known prompt, written out", () => {
  const item: Item = { id: "1", fields: { text: "screams " }, label: 0 };
  assert.equal(
    prompt(findTask("sst2"), item),
    "Classify the sentiment of the user's message into one of the following categories:'positive' or 'negative'.\n\nSentence: screams  \nSentiment: ",
  );
  const shot: Item = { id: "2", fields: { question: "Why {choice}?" }, choices: ["yes", "no"], label: 1 };
  assert.equal(
    prompt(findTask("COPA"), { ...shot, fields: { question: "Who?" } }, [shot]),
    "Generate the correct answer to the following question.\n\nWhy {choice}?\nA. yes\nB. no\nAnswer: B\n\nWho?\nA. yes\nB. no\nAnswer:",
  );
  assert.equal(contentFreePrompt(findTask("TREC"), "N/A").endsWith("Question: N/A \nType: "), true);
});

test("the TREC label order is DESC ENTY ABBR HUM NUM LOC", { skip }, () => {
  const words = findTask("TREC");
  assert.ok(words.kind === "classification");
  const counts = new Map<string, number>();
  for (const row of lines("TREC", "train")) {
    const word = words.labelWords[row.label as number] as string;
    if (/^(Who|What (actor|actress|president))\b/.test(row.text as string)) counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  assert.equal([...counts].sort((a, b) => b[1] - a[1])[0]?.[0], " Person");
});

test("shots are distinct and depend on the repeat alone", () => {
  const train = Array.from({ length: 30 }, (_, i): Item => ({ id: `${i}`, fields: {}, label: 0 }));
  const ids = (repeat: number) => shotsOfRepeat(train, 5, repeat).map((item) => item.id);
  assert.deepEqual(ids(1), ids(1));
  assert.notDeepEqual(ids(1), ids(2));
  assert.equal(new Set(ids(3)).size, 5);
  assert.throws(() => shotsOfRepeat(train, 31, 0), /31 shots/);
});

const bad = (name: string, text: string, pattern: RegExp) =>
  test(`bad data: ${name}`, () => {
    assert.throws(
      () => parseItems(findTask(text.includes("choices") || name.includes("choice") ? "COPA" : "sst2"), text, "train.jsonl"),
      (error: unknown) => error instanceof ActError && error.code === "data" && pattern.test(error.message),
    );
  });
bad("empty file", "", /train\.jsonl is empty/);
bad("malformed line", '{"text":"a","label":0}\n{oops', /train\.jsonl, line 2 is no JSON/);
bad("empty line in the middle", '{"text":"a","label":0}\n\n{"text":"a","label":0}\n', /line 2 is empty/);
bad("a line that no item needs", `{"text":"a","label":0}\n{"text":"${"x".repeat(2e6)}","label":0}`, /line 2 has 2000021 characters/);
bad("no number", '{"text":"a","label":NaN}', /line 1 is no JSON/);
bad("an infinite label", '{"text":"a","label":1e999}', /label must be a whole number/);
bad("label out of range", '{"text":"a","label":2}', /line 1: label 2 is out of range 0\.\.1/);
bad("negative label", '{"text":"a","label":-1}', /label must be at least 0/);
bad("label as text", '{"text":"a","label":"0"}', /label must be a number/);
bad("missing field", '{"label":0}', /field "text" is missing/);
bad("no choices", '{"question":"a","label":0}', /"choices" is missing/);
bad("too many choices", '{"question":"a","label":0,"choices":["a","b","c"]}', /3 choices, but COPA takes at most 2/);
bad("label beyond choices", '{"question":"a","label":2,"choices":["a","b"]}', /label 2 is out of range 0\.\.1/);

test("lines are split at \\n only", () => {
  const [item] = parseItems(findTask("sst2"), `${JSON.stringify({ text: "a\u2028b\u0085c", label: 1 })}\n`, "x");
  assert.equal(item?.fields.text, "a\u2028b\u0085c");
});

const own = { name: "mine", version: 1, kind: "classification", instruction: "", template: "{text} ->", labelWords: [" a", " b"] };
test("a byte order mark and Windows line ends are no part of a file", () => {
  assert.equal(parseItems(findTask("sst2"), '\uFEFF{"text":"a","label":1}\r\n{"text":"b","label":0}\r\n', "x").length, 2);
  const lines = [own, { text: "x", label: 0, split: "train" }].map((line) => JSON.stringify(line)).join("\r\n");
  assert.equal(parseOwnTask(`\uFEFF${lines}`, "mine.jsonl").train[0]?.fields.text, "x");
  assert.equal(parseOwnTask(`\uFEFF${JSON.stringify({ task: own, train: [], test: [] })}`, "mine.json").task.name, "mine");
});

test("a user's own task, as JSON and as JSONL", () => {
  const row = (text: string, label: number) => ({ id: text, text, label });
  const json = parseOwnTask(JSON.stringify({ task: own, train: [row("x", 0)], test: [row("y", 1)] }), "mine.json");
  const jsonl = parseOwnTask(
    [own, { ...row("x", 0), split: "train" }, { ...row("y", 1), split: "test" }].map((line) => JSON.stringify(line)).join("\n"),
    "mine.jsonl",
  );
  assert.deepEqual(json, jsonl);
  assert.equal(prompt(json.task, json.test[0] as Item), "y ->");
});
for (const [name, text, pattern] of [
  ["mine.json", "{", /mine\.json is no JSON/],
  ["mine.json", "{}", /expected \{"task"/],
  ["mine.json", JSON.stringify({ task: { ...own, labelWords: [" a"] }, train: [], test: [] }), /labelWords needs at least two/],
  ["mine.json", JSON.stringify({ task: { ...own, template: "x" }, train: [], test: [] }), /names no field/],
  ["mine.json", JSON.stringify({ task: { ...own, labelWords: [" a", " "] }, train: [], test: [] }), /label words must not be empty/],
  ["mine.jsonl", "nonsense", /line 1 must be the task/],
  ["mine.jsonl", `${JSON.stringify(own)}\n{"text":"a","label":0}`, /line 2: "split"/],
  ["mine.jsonl", `${JSON.stringify(own)}\n{"id":"1","text":"a","label":9,"split":"test"}`, /line 2: label 9/],
  [
    "mine.json",
    JSON.stringify({ task: own, train: [{ id: "1", text: "a", label: 0 }], test: [{ id: "1", text: "b", label: 0 }] }),
    /id "1" occurs twice/,
  ],
] as const) {
  test(`own task refused: ${pattern.source}`, () => {
    assert.throws(
      () => parseOwnTask(text, name),
      (error: unknown) => error instanceof ActError && pattern.test(error.message),
    );
  });
}

test("an unknown task is named together with the known ones", () => {
  assert.throws(() => findTask("sst3"), /no task "sst3".*sst2, sst5/);
});
