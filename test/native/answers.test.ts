// What the uncalibrated model answers to published tasks, against an independent run (transformers on the dequantised model).
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import process from "node:process";
import { test } from "node:test";
import { DEFAULT_MODEL, modelPath } from "../../src/store/models.js";
import { temporaryFolder } from "../fixtures/temporary.js";
import { float32Model } from "./support/dequantise.js";

const answers: Record<string, string> = JSON.parse(readFileSync("test/oracle/answers.json", "utf8"));
const data = process.env.ACT_DATA ?? path.resolve("../shared/data");
const skip = existsSync(data) ? false : "the evaluation sets are not here; name their folder in ACT_DATA";
/** Enough to see another prompt, tokenisation or label; all of them with ACT_LONG=1. */
const ITEMS = process.env.ACT_LONG ? 150 : 30;

for (const [task, digits] of Object.entries(answers))
  test(`${task}: float32 answers are those of an independent run, item by item`, { skip, timeout: 600_000 }, async () => {
    const expected = [...digits.slice(0, ITEMS)].map(Number);
    const out = temporaryFolder("answers");
    const model = await float32Model(process.env.ACT_MODEL || modelPath(DEFAULT_MODEL));
    const options = ["--task", task, "--split", "test", "--limit", `${expected.length}`, "--model", model, "--cache-type", "f32"];
    execFileSync(process.execPath, ["src/cli/act.mjs", "evaluate", ...options, "--threads", "2", "--data", data, "--out", out], {
      stdio: "pipe",
    });
    const given = readFileSync(path.join(out, "records.jsonl"), "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line))
      .filter(({ type }) => type === "item")
      .map(({ off }: { off: { scores: number[] } }) => off.scores.indexOf(Math.max(...off.scores)));
    assert.deepEqual(given, expected);
  });
