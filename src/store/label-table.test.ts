import assert from "node:assert/strict";
import fs from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { ActError } from "../protocol/errors.js";
import { readTable, type Table } from "./label-table.js";

const folder = await fs.mkdtemp(path.join(os.tmpdir(), "act-table-"));
after(() => fs.rm(folder, { recursive: true }));

async function tableOf(name: string, text: string | Buffer): Promise<Table> {
  const file = path.join(folder, name);
  await fs.writeFile(file, text);
  return await readTable(file);
}
const none = { label: null, probability: null };

test("quotes, byte order mark, line ends and line feeds inside a cell stay as they are", async () => {
  const text = '\ufeffid,text\r\n1,"a, ""b""\r\nc"\r\n2,"plain"\r\n3,\r\n';
  const table = await tableOf("a.csv", text);
  assert.deepEqual(table.columns, ["id", "text"]);
  assert.deepEqual(
    table.rows.map(({ fields }) => fields.text),
    ['a, "b"\r\nc', "plain", ""],
  );
  const cells = [{ label: "po,s", probability: 0.91237 }, none, { label: null, probability: 0.5 }];
  assert.equal(table.render(cells), '\ufeffid,text,label,probability\r\n1,"a, ""b""\r\nc","po,s",0.9124\r\n2,"plain",,\r\n3,,,0.5000\r\n');
});

test("a label column is filled in where it is empty, and marks are kept", async () => {
  const table = await tableOf("b.csv", 'label;text\npos;one\n;two\n" ";three');
  assert.deepEqual(
    table.rows.map(({ mark }) => mark),
    ["pos", null, null],
  );
  const cell = { label: "neg", probability: 1 };
  assert.equal(table.render([none, cell, cell]), "label;text;probability\npos;one;\nneg;two;1.0000\nneg;three;1.0000");
});

test("tabs, and a column called probability that is somebody else's", async () => {
  const table = await tableOf("c.tsv", "text\tprobability\na, b\t7\n");
  assert.equal(table.render([{ label: 1, probability: 0.5 }]), "text\tprobability\tlabel\tlabel_probability\na, b\t7\t1\t0.5000\n");
});

test("JSON Lines: the row's own text stays, two keys are added", async () => {
  const lines = [
    '{"text": "a\u2028b", "n": 1.0, "big": 12345678901234567890}',
    '{"text":"c","label":1}',
    '{"text":"d","label":null}',
    "{}",
  ];
  const table = await tableOf("d.jsonl", `${lines.join("\n")}\n`);
  assert.deepEqual(
    table.rows.map(({ mark }) => mark),
    [null, 1, null, null],
  );
  const cell = { label: 0, probability: 0.75 };
  assert.deepEqual(table.render([cell, none, cell, cell]).split("\n"), [
    '{"text": "a\u2028b", "n": 1.0, "big": 12345678901234567890, "label":0,"probability":0.75}',
    lines[1],
    '{"text":"d","label":0,"probability":0.75}',
    '{"label":0,"probability":0.75}',
    "",
  ]);
});

test("a long table and a line of many megabytes do not keep the process from answering", async () => {
  const row = (i: number) => `${i},"a text with ""quotes"", number ${i}"`;
  const many = Array.from({ length: 20_000 }, (_, i) => row(i)).join("\n");
  let ticks = 0;
  const timer = setInterval(() => ticks++, 5);
  const table = await tableOf("long.csv", `id,text\n${many}\n1,"${"x ".repeat(1_000_000)}"\n`);
  clearInterval(timer);
  assert.equal(table.rows.length, 20_001);
  assert.ok(ticks > 5, `${ticks} ticks`);
  const lines = table.render(table.rows.map(() => ({ label: "a", probability: 1 }))).split("\n");
  assert.equal(lines[20_000], `${row(19_999)},a,1.0000`);
  assert.ok(lines[20_001]?.endsWith('",a,1.0000'));
});

test("UTF-16 is read, and written as UTF-8 with a mark", async () => {
  const table = await tableOf("e.csv", Buffer.from("\ufefftext\ngrün\n", "utf16le"));
  assert.equal(table.rows[0]?.fields.text, "grün");
  assert.ok(table.render([none]).startsWith("\ufefftext,label"));
});

test("what is no table is one sentence that says where", async () => {
  const refused: [string, string | Buffer, RegExp][] = [
    ["f.txt", "a", /must end in \.csv, \.tsv or \.jsonl/],
    ["g.csv", "", /g\.csv has no rows/],
    ["h.csv", "text\n", /h\.csv has no rows/],
    ["i.csv", 'a,b\n1,"2\n', /i\.csv, line \d: Quote Not Closed/],
    ["j.csv", "a,b\n1\n", /j\.csv, line 2: Invalid Record Length/],
    ["k.csv", "a,a\n1,2\n", /two columns named "a"/],
    ["l.csv", Buffer.from([0x61, 0x0a, 0xff, 0xff]), /l\.csv cannot be read: it is not UTF-8 text/],
    ["m.jsonl", "\n", /m\.jsonl has no rows/],
    ["n.jsonl", '{"a":1}\nNaN\n', /n\.jsonl, line 2 is no JSON/],
    ["o.jsonl", "[1]", /o\.jsonl, line 1 is no JSON object/],
  ];
  for (const [name, text, message] of refused)
    await assert.rejects(tableOf(name, text), (error: unknown) => error instanceof ActError && message.test(error.message), name);
  await assert.rejects(readTable(path.join(folder, "missing.csv")), /cannot be read: it does not exist/);
  await assert.rejects(readTable(folder), /must end in/);
});
