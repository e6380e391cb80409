// Labelling, rivals and answers that are generated and checked, on the real model: files in, files out, a run that is cut off and goes on.
import assert from "node:assert/strict";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { EngineClient } from "../../src/client/client.js";
import { type Calibration, eligibleHeads } from "../../src/protocol/calibration.js";
import type { LabelParams } from "../../src/protocol/engine.js";
import { ActError } from "../../src/protocol/errors.js";
import { DEFAULT_MODEL, modelPath } from "../../src/store/models.js";

const client = new EngineClient({ entry: "dist/engine.mjs" });
let folder: string;
const at = (name: string) => path.join(folder, name);

const GOOD = [
  "a lovely film",
  "great acting, warm and funny",
  "I would see it again",
  "the best of the year",
  "moving and clever",
  "pure joy",
];
const BAD = [
  "a dull film",
  "poor acting, cold and slow",
  "I left before the end",
  "the worst of the year",
  "flat and stupid",
  "pure boredom",
];
const texts = [...GOOD, ...BAD].flatMap((text) => [text, `${text}, no doubt`]);
const labelOf = (text: string) => (GOOD.some((good) => text.startsWith(good)) ? 1 : 0);
const task = {
  name: "films",
  version: 1,
  kind: "classification",
  instruction: "Say what the review thinks of the film: 'positive' or 'negative'.\n\n",
  template: "Review: {text}\nOpinion: ",
  labelWords: [" negative", " positive"],
};
const rows = ["a wonderful story", "a waste of time", "so funny", "", "so boring", "I loved it"];
const HEADS: Calibration = {
  method: "act",
  heads: eligibleHeads(30, 9).slice(0, 40),
  beta: 0.4,
  threshold: { mode: "fixed", value: 0.1 },
  statistics: "running",
};

before(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "act-label-"));
  const items = texts.map((text, i) => ({ id: `${i}`, text, label: labelOf(text) }));
  await writeFile(
    at("task.json"),
    JSON.stringify({ task, train: items.filter((_, i) => i % 3 !== 0), test: items.filter((_, i) => i % 3 === 0) }),
  );
  await writeFile(at("rows.csv"), `\ufefftext,label\r\n${rows.map((text) => `"${text}",`).join("\r\n")}\r\na masterpiece,POSITIVE\r\n`);
  await client.request("load", {
    path: process.env.ACT_MODEL || modelPath(DEFAULT_MODEL),
    backend: "cpu",
    threads: 2,
    contextSize: 1024,
    sequences: 0,
  });
});
after(async () => {
  client.dispose();
  await rm(folder, { recursive: true });
});

const params = (more: Partial<LabelParams> = {}): LabelParams => ({
  task: at("task.json"),
  in: at("rows.csv"),
  out: at("out.csv"),
  calibration: null,
  resume: false,
  ...more,
});

test("rows are labelled into a new file; a cut-off run goes on and writes the same", async () => {
  const before = await readFile(at("rows.csv"));
  const whole = await client.request("label", params());
  assert.deepEqual([whole.labelled, whole.blank, whole.unjudged, whole.marked], [5, 1, 1, 1]);
  assert.equal(whole.expected.n, texts.length + 1);
  assert.ok(whole.expected.interval[0] <= whole.expected.accuracy && whole.expected.accuracy <= whole.expected.interval[1]);
  assert.ok(whole.rivals.length >= 4);
  const text = await readFile(at("out.csv"), "utf8");
  const lines = text.split("\r\n");
  assert.equal(lines[0], "\ufefftext,label,probability");
  assert.match(lines[1] ?? "", /^"a wonderful story",(positive|negative),[01]\.\d{4}$/);
  assert.equal(lines[4], '"",,');
  assert.equal(lines[7], "a masterpiece,POSITIVE,");
  assert.deepEqual(await readFile(at("rows.csv")), before);

  for (const part of ["labelled rows", "rows"]) {
    const out = at(`cut ${part}.csv`);
    const abort = new AbortController();
    const cut = client.request("label", params({ out }), {
      signal: abort.signal,
      onProgress: ({ task: now }) => {
        if (now === part) abort.abort();
      },
    });
    await assert.rejects(cut, (error: unknown) => error instanceof ActError && error.code === "cancelled");
    assert.ok((await readdir(folder)).includes(`cut ${part}.csv.journal`));
    await client.request("label", params({ out, resume: true }));
    assert.equal(await readFile(out, "utf8"), text);
    assert.ok(!(await readdir(folder)).some((name) => name.startsWith(`cut ${part}.csv.journal`)));
  }
});

test("a confidence leaves rows blank, and says what the others are worth", async () => {
  const result = await client.request("label", params({ out: at("sure.csv"), confidence: 1 }));
  assert.deepEqual([result.labelled, result.blank], [0, 6]);
  assert.ok(result.confident && result.confident.n <= result.expected.n);
  assert.match((await readFile(at("sure.csv"), "utf8")).split("\r\n")[1] ?? "", /^"a wonderful story",,[01]\.\d{4}$/);
});

test("with a set, its rivals compete too", async () => {
  const { rivals } = await client.request("label", params({ out: at("set.csv"), calibration: HEADS }));
  assert.ok(rivals.some(({ name }) => name === "set + affine"));
});

test("bad input is one sentence, and nothing is written", async () => {
  await writeFile(at("few.json"), JSON.stringify({ task, train: [{ text: "a", label: 1 }], test: [] }));
  await writeFile(at("words.csv"), "words\nx\n");
  await writeFile(at("wrong.csv"), "text,label\nx,maybe\n");
  await writeFile(at("taken.csv"), "mine");
  const refused: [Partial<LabelParams>, RegExp][] = [
    [{ task: at("few.json") }, /There are 2 labelled rows with 1 different labels; at least 12 with 2 are needed/],
    [{ in: at("words.csv") }, /words\.csv has no column "text", which the template of films names; it has words/],
    [{ in: at("wrong.csv") }, /wrong\.csv, line 2: the label "maybe" is none of negative, positive/],
    [{ out: at("rows.csv") }, /would be written over/],
    [{ out: at("taken.csv") }, /taken\.csv is there already/],
    [{ out: at("no/such/out.csv") }, /The folder .* does not exist/],
    [{ in: at("missing.csv") }, /missing\.csv cannot be read: it does not exist/],
  ];
  for (const [more, message] of refused)
    await assert.rejects(
      client.request("label", params({ out: at("none.csv"), ...more })),
      (error: unknown) => error instanceof ActError && message.test(error.message),
      String(message),
    );
  assert.equal(await readFile(at("taken.csv"), "utf8"), "mine");
  assert.ok(!(await readdir(folder)).includes("none.csv"));
});

test("rivals of an evaluation: fitted on training rows, the same after a run that goes on", async () => {
  const ask = (resume: boolean) =>
    client.request("evaluate", { tasks: [at("task.json")], shots: 0, seeds: 1, calibration: HEADS, rivals: true, out: at("run"), resume });
  const first = await ask(false);
  const [films] = first.tasks;
  assert.deepEqual(
    films?.rivals?.map(({ name }) => name),
    ["batch calibration", "affine", "set + batch calibration", "set + affine", "linear probe", "random sets (mean of 3)", "ZeroTuning"],
  );
  for (const rival of films?.rivals ?? []) assert.equal(rival.n, films?.n);
  assert.equal(films?.biasFree?.measure, "AUC");
  const again = await ask(true);
  assert.deepEqual(again.tasks, first.tasks);
  const plain = await client.request("evaluate", { tasks: [at("task.json")], shots: 0, seeds: 1, calibration: HEADS, resume: false });
  assert.equal(plain.tasks[0]?.baseline, films?.baseline);
  assert.match(await readFile(at("run/report.md"), "utf8"), /linear probe/);
});

test("answers are generated and checked: by rules, and by running them", async () => {
  const prompt = {
    key: 7,
    prompt: "Answer with the word yes and nothing else.",
    instruction_id_list: ["punctuation:no_comma"],
    kwargs: [{}],
  };
  const problem = {
    id: "double/L0",
    kind: "single",
    prefix: "def double(x):\n    # twice x\n",
    suffix: "    return y\n",
    test: "def check(candidate):\n    assert candidate(2) in (2, 4)\n",
    entry_point: "double",
  };
  for (const [name, row] of [
    ["ifeval", prompt],
    ["humaneval_infilling", problem],
  ] as const) {
    await mkdir(at(`data/${name}`), { recursive: true });
    for (const split of ["train", "test"]) await writeFile(at(`data/${name}/${split}.jsonl`), `${JSON.stringify(row)}\n`);
  }
  const ask = (resume: boolean) =>
    client.request("evaluate", {
      tasks: ["ifeval", "humaneval_infilling"],
      data: at("data"),
      shots: 0,
      seeds: 1,
      calibration: HEADS,
      out: at("generated"),
      resume,
    });
  const { tasks } = await ask(false);
  assert.deepEqual(
    tasks.map(({ name, n, skipped }) => [name, n, skipped]),
    [
      ["ifeval", 1, 0],
      ["humaneval_infilling", 1, 0],
    ],
  );
  const records = (await readFile(at("generated/records.jsonl"), "utf8"))
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  const answered = records.filter(({ type }) => type === "generated");
  assert.equal(answered[0].off.followed.length, 1);
  assert.equal(answered[0].off.right, !answered[0].off.text.includes(",") && answered[0].off.text.trim() !== "");
  assert.equal(tasks[0]?.instructions?.baseline, answered[0].off.right ? 1 : 0);
  assert.deepEqual((await ask(true)).tasks, tasks);
});
