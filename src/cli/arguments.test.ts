import assert from "node:assert/strict";
import { test } from "node:test";
import { choice, count, list, number, parse, text, threshold } from "./arguments.js";

const own = { prompt: { type: "string" }, task: { type: "string", multiple: true }, seed: { type: "string" } } as const;
const flags = (...args: string[]) => parse(args, own).flags;
const usage = (pattern: RegExp) => ({ name: "ActError", code: "usage", message: pattern });

test("values: joined, separate, beginning with a dash, empty", () => {
  assert.equal(text(flags("--prompt=a b"), "prompt"), "a b");
  assert.equal(text(flags("--prompt", "-5 degrees"), "prompt"), "-5 degrees");
  assert.equal(text(flags("--prompt", "--- a/file"), "prompt"), "--- a/file");
  assert.equal(text(flags("--prompt", ""), "prompt"), "");
  assert.deepEqual(parse(["--task", "sst2", "AGNews", "--json"], own), {
    flags: { __proto__: null, task: ["sst2"], json: true },
    rest: ["AGNews"],
  });
});

test("unknown flags and forgotten values are one sentence each", () => {
  for (const args of [["--frob"], ["--prompt"], ["--prompt", "--json"], ["--json=1"]]) {
    assert.throws(
      () => parse(args, own),
      (error: Error) => usage(/^[^\n]+\. Use --help/).message.test(error.message) && !error.message.includes("\n"),
      args.join(" "),
    );
  }
});

test("numbers: inside their bounds or a sentence naming flag and value", () => {
  assert.equal(number(flags("--seed", "7"), "seed", { min: 0, whole: true }), 7);
  assert.equal(number(flags(), "seed"), undefined);
  for (const bad of ["-3", "x", "", " ", "1.5", "1e999", "NaN", "0x"])
    assert.throws(() => number(flags("--seed", bad), "seed", { min: 0, whole: true }), usage(/--seed.*whole number/), bad);
  assert.throws(() => count(flags("--seed", "0"), "seed"), usage(/at least 1, not "0"/));
  assert.throws(
    () => number(flags("--beta", "1.5"), "beta", { min: 0, max: 1 }),
    usage(/--beta needs a number between 0 and 1, not "1.5"/),
  );
});

test("choices, thresholds, lists", () => {
  assert.equal(choice(flags("--backend", "cpu"), "backend", ["cpu", "cuda"]), "cpu");
  assert.throws(
    () => choice(flags("--backend", "tpu"), "backend", ["cpu", "cuda"]),
    usage(/--backend must be one of cpu, cuda, not "tpu"/),
  );
  assert.deepEqual(threshold(flags("--threshold", "relative:5")), { mode: "relative", value: 5 });
  for (const bad of ["0.1", "fixed:", "fixed:x", "loose:1", "fixed:-1", "fixed:Infinity"])
    assert.throws(() => threshold(flags("--threshold", bad)), usage(/--threshold must be like/), bad);
  assert.deepEqual(list(flags("--task", "a,b", "--task", "c"), "task"), ["a", "b", "c"]);
});
