import assert from "node:assert/strict";
import fs from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { temporaryFolder } from "../../test/fixtures/temporary.js";
import type { ActError } from "../protocol/errors.js";
import { Journal, readJournal } from "./journal.js";

const header = { kind: "calibrate", model: { name: "M", sha256: "a".repeat(64) }, version: "1", options: { seed: 1, tasks: ["sst2"] } };
const place = () => path.join(temporaryFolder("journal"), "run.jsonl");

test("what was appended is there, in order, and a resumed run goes on behind it", async () => {
  const file = place();
  const first = await Journal.open(file, header, { resume: false });
  await Promise.all([first.journal.append([{ i: 0 }, { i: 1 }]), first.journal.append([{ i: 2, text: "zwölf\n\u2028" }])]);
  await first.journal.close();
  const second = await Journal.open(file, header, { resume: true });
  assert.deepEqual(second.records, [{ i: 0 }, { i: 1 }, { i: 2, text: "zwölf\n\u2028" }]);
  await second.journal.append([{ i: 3 }]);
  await second.journal.close();
  assert.equal((await readJournal(file)).records.length, 4);
  assert.deepEqual(await fs.readdir(path.dirname(file)), ["run.jsonl"]);
});

test("cut at any byte, at most the last batch is lost and the run goes on", async () => {
  const file = place();
  const { journal } = await Journal.open(file, header, { resume: false });
  for (let i = 0; i < 5; i++) await journal.append([{ i }]);
  await journal.close();
  const whole = await fs.readFile(file);
  const headerEnd = whole.indexOf("\n") + 1;
  for (let cut = 0; cut <= whole.length; cut++) {
    await fs.writeFile(file, whole.subarray(0, cut));
    const complete = whole.subarray(headerEnd, cut).toString().split("\n").length - 1;
    const { journal: again, records } = await Journal.open(file, header, { resume: true });
    assert.deepEqual(
      records,
      Array.from({ length: cut < headerEnd ? 0 : complete }, (_, i) => ({ i })),
    );
    await again.append([{ more: true }]);
    await again.close();
    assert.deepEqual((await readJournal(file)).records, [...records, { more: true }]);
  }
});

test("a second writer is refused while the first one is at it", async () => {
  const file = place();
  const { journal } = await Journal.open(file, header, { resume: false });
  await assert.rejects(
    Journal.open(file, header, { resume: true }),
    (error: ActError) => error.code === "usage" && /Another run/.test(error.message),
  );
  await journal.close();
  await (await Journal.open(file, header, { resume: true })).journal.close();
});

test("a journal of another model, version or option is refused by name and left alone", async () => {
  const file = place();
  await (await Journal.open(file, header, { resume: false })).journal.close();
  const before = await fs.readFile(file);
  const others: [Partial<typeof header>, RegExp][] = [
    [{ model: { name: "N", sha256: "b".repeat(64) } }, /another model: M \(aaaaaaaaaaaa\) instead of N/],
    [{ version: "2" }, /another version/],
    [{ kind: "evaluate" }, /another kind of run/],
    [{ options: { seed: 2, tasks: ["sst2"] } }, /another value of seed: 1 instead of 2/],
  ];
  for (const [change, message] of others)
    await assert.rejects(
      Journal.open(file, { ...header, ...change }, { resume: true }),
      (error: ActError) => error.code === "usage" && message.test(error.message),
    );
  assert.deepEqual(await fs.readFile(file), before);
});

test("a new run puts an earlier journal aside", async () => {
  const file = place();
  for (let i = 0; i < 2; i++) {
    const { journal } = await Journal.open(file, header, { resume: false });
    await journal.append([{ run: i }]);
    await journal.close();
  }
  const files = (await fs.readdir(path.dirname(file))).sort();
  assert.equal(files.length, 2);
  assert.deepEqual((await readJournal(path.join(path.dirname(file), files[1] ?? ""))).records, [{ run: 0 }]);
});

test("damage before the last line names file and line; something else is no journal", async () => {
  const file = place();
  const { journal } = await Journal.open(file, header, { resume: false });
  await journal.append([{ i: 0 }, { i: 1 }]);
  await journal.close();
  await fs.writeFile(file, (await fs.readFile(file, "utf8")).replace('{"i":0}', '{"i":'));
  await assert.rejects(readJournal(file), /run\.jsonl, line 2/);
  await fs.writeFile(file, '{"not":"a journal"}\n');
  await assert.rejects(readJournal(file), /does not begin like a journal/);
  await assert.rejects(readJournal(`${file}.gone`), /does not exist/);
});
