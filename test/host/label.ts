import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as vscode from "vscode";
import { labelTable, outcome, outputBeside } from "../../src/host/label/run.js";
import { readTable } from "../../src/store/label-table.js";
import { test } from "./harness.js";
import { services, workspaceFolder } from "./services.js";

const GOOD = ["a lovely film", "great acting", "I would see it again", "the best of the year", "moving and clever", "pure joy", "so warm"];
const BAD = ["a dull film", "poor acting", "I left before the end", "the worst of the year", "flat and stupid", "pure boredom", "so cold"];

test("rows of a table are labelled from its own labels into a file beside it, which is opened", async () => {
  const file = join(workspaceFolder(), "films.csv");
  const marked = [...GOOD.map((text) => `"${text}",good`), ...BAD.map((text) => `"${text}",bad`)];
  const text = `Review Text,label\n${[...marked, "a wonderful story,", "a waste of time,"].join("\n")}\n`;
  writeFileSync(file, text);
  const seen: number[] = [];
  const result = await labelTable(
    await services(),
    { table: await readTable(file), file, task: { column: "Review Text" }, confidence: 0 },
    (_, done) => seen.push(done),
    new AbortController().signal,
  );
  assert.equal(result.out, join(workspaceFolder(), "films.labelled.csv"));
  assert.deepEqual([result.labelled, result.blank, result.marked, result.expected.n], [2, 0, 14, 14]);
  assert.ok(seen.length > 0);
  assert.match(outcome(result), /^2 rows are labelled by “.+”, 0 are left blank\. Expect \d+ % of all labels/);
  const lines = readFileSync(result.out, "utf8").split("\n");
  assert.equal(lines[0], "Review Text,label,probability");
  assert.equal(lines[1], '"a lovely film",good,');
  assert.match(lines[15] ?? "", /^a wonderful story,(good|bad),[01]\.\d{4}$/);
  assert.equal(readFileSync(file, "utf8"), text, "the table itself is not touched");
  assert.deepEqual(outputBeside(file), { out: join(workspaceFolder(), "films.labelled-2.csv"), resume: false });
}, 120_000);

test("the command says what is wrong with a table, in a message", async () => {
  const file = join(workspaceFolder(), "broken.csv");
  writeFileSync(file, 'a,b\n1,"2\n');
  const before = vscode.window.activeTextEditor?.document.uri.toString();
  await vscode.commands.executeCommand("act.labelRows", vscode.Uri.file(file));
  assert.equal(vscode.window.activeTextEditor?.document.uri.toString(), before, "no result is opened");
}, 20_000);
