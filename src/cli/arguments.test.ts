import assert from "node:assert/strict";
import { test } from "node:test";
import * as v from "valibot";
import { between, count, whole } from "../protocol/requests/fields.js";
import { choice, list, number, parse, text, threshold } from "./arguments.js";
import type { FlagTable } from "./flags.js";

const BackendSchema = v.picklist(["cpu", "cuda"]);
const own = {
  prompt: { value: "TEXT", does: "text" },
  task: { value: "NAME", does: "task", many: true },
  seed: { value: "N", does: "seed", schema: whole(0) },
  rounds: { value: "N", does: "rounds", schema: count },
  share: { value: "X", does: "share", schema: between(0, 1) },
  place: { value: "NAME", does: "place", schema: BackendSchema },
} satisfies FlagTable;
const flags = (...args: string[]) => parse(args, own).flags;
const usage = (pattern: RegExp) => ({ name: "ActError", code: "usage", message: pattern });

test("values: joined, separate, beginning with a dash, empty", () => {
  assert.equal(text(flags("--prompt=a b"), "prompt"), "a b");
  assert.equal(text(flags("--prompt", "-5 degrees"), "prompt"), "-5 degrees");
  assert.equal(text(flags("--prompt", "--- a/file"), "prompt"), "--- a/file");
  assert.equal(text(flags("--prompt", ""), "prompt"), "");
  assert.deepEqual(parse(["--task", "sst2", "AGNews", "--json"], own), {
    flags: { __proto__: null, task: ["sst2", "AGNews"], json: true },
    rest: [],
  });
  assert.deepEqual(list(flags("--task", "sst2", "MR", "--seed", "1", "--task", "CB"), "task"), ["sst2", "MR", "CB"]);
});

test("unknown flags and forgotten values are one sentence each", () => {
  for (const args of [["--frob"], ["--prompt"], ["--prompt", "--json"], ["--json=1"], ["--constructor"], ["--toString", "x"]]) {
    assert.throws(
      () => parse(args, own),
      (error: Error) =>
        usage(/^[^\n]+\. (Did you mean --[\w-]+\? )?Use --help/).message.test(error.message) && !error.message.includes("\n"),
      args.join(" "),
    );
  }
});

test("a mistyped flag is answered with the one that was meant", () => {
  assert.throws(() => flags("--promt", "x"), usage(/Did you mean --prompt\?/));
  assert.throws(() => flags("--thread=2"), usage(/Did you mean --threads\?/));
  assert.throws(() => flags("--zzzzzzzz"), usage(/^((?!Did you mean).)*$/));
});

test("numbers: inside their bounds or a sentence naming flag and value", () => {
  assert.equal(number(flags("--seed", "7"), "seed"), 7);
  assert.equal(number(flags(), "seed"), undefined);
  for (const bad of ["-3", "x", "", " ", "1.5", "1e999", "NaN", "0x"])
    assert.throws(() => flags("--seed", bad), usage(/--seed.*whole number/), bad);
  assert.throws(() => flags("--rounds", "0"), usage(/at least 1, not "0"/));
  assert.throws(() => flags("--share", "1.5"), usage(/--share needs a number between 0 and 1, not "1.5"/));
});

test("choices, thresholds, lists", () => {
  assert.equal(choice(flags("--place", "cpu"), "place", BackendSchema), "cpu");
  assert.throws(() => flags("--place", "tpu"), usage(/--place must be one of cpu, cuda, not "tpu"/));
  assert.deepEqual(threshold(flags("--threshold", "relative:5")), { mode: "relative", value: 5 });
  for (const bad of ["0.1", "fixed:", "fixed:x", "loose:1", "fixed:-1", "fixed:Infinity"])
    assert.throws(() => threshold(flags("--threshold", bad)), usage(/--threshold must be like/), bad);
  assert.deepEqual(list(flags("--task", "a,b", "--task", "c"), "task"), ["a", "b", "c"]);
});
