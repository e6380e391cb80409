import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryFolder } from "../../test/fixtures/temporary.js";
import type { Session } from "./command.js";
import { filters } from "./commands/filters.js";

const session = { json: true } as Session;

test("act filters: a row for each case, in the order of the file", async () => {
  const file = join(temporaryFolder("filters"), "cases.jsonl");
  const cases = [
    { language: "typescript", prefix: "function f() {", suffix: "}\r\n", answer: "\n  return 1;\n}" },
    { language: "go", prefix: "x := 1\n", suffix: "", answer: " \n" },
    { language: "a language of its own", prefix: "", suffix: "", answer: "so" },
  ];
  writeFileSync(file, `\ufeff${cases.map((one) => JSON.stringify(one)).join("\r\n\r\n")}\n`);
  const { json } = await filters.run(session, { cases: file }, []);
  assert.deepEqual(json, {
    rows: [
      { text: "\n  return 1;\n", applied: ["bracket balance"], dropped: null },
      { text: "", applied: [], dropped: "empty" },
      { text: "so", applied: [], dropped: null },
    ],
  });
});

test("act filters: what is wrong is named with its line", async () => {
  const file = join(temporaryFolder("filters"), "cases.jsonl");
  writeFileSync(file, '{"language":"go","prefix":"","suffix":"","answer":""}\n{"language":"go","prefix":1}\n');
  await assert.rejects(filters.run(session, { cases: file }, []), /line 2: prefix is no text/);
  writeFileSync(file, "{\n");
  await assert.rejects(filters.run(session, { cases: file }, []), /line 1 is not JSON/);
  await assert.rejects(filters.run(session, {}, []), /--cases/);
});
