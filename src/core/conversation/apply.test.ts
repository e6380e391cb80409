import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { placeCode } from "./apply.js";
import { attachmentText, messagesOf, titleOf, turnsLeftOut } from "./turns.js";

const applied = (file: string, code: string, selected?: string) => {
  const cursor = file.indexOf("‸");
  const text = file.replace("‸", "");
  const at = selected === undefined ? Math.max(0, cursor) : text.indexOf(selected);
  const placement = placeCode(text, { start: at, end: at + (selected?.length ?? 0) }, code);
  return { how: placement.how, text: text.slice(0, placement.start) + placement.text + text.slice(placement.end) };
};

describe("placing code from an answer", () => {
  it("replaces a selection and keeps its line ending", () => {
    assert.deepEqual(applied("a\nb\nc\n", "x\ny\n", "b\n"), { how: "selection", text: "a\nx\ny\nc\n" });
    assert.equal(applied("a\r\nb\r\nc\r\n", "x\ny", "b").text, "a\r\nx\r\ny\r\nc\r\n");
  });
  it("gives a selection's replacement the depth of the selection", () => {
    const file = "class A:\n    def run(self):\n        old()\n        return 1\n";
    const want = "class A:\n    def run(self):\n        fresh()\n        fresh2()\n        return 1\n";
    for (const selected of ["        old()\n", "        old()", "old()", "  old()\n"])
      assert.equal(applied(file, "fresh()\nfresh2()", selected).text, want, selected);
    assert.equal(applied(file, "    fresh()\n    fresh2()", "        old()\n").text, want);
    assert.equal(applied(file, "fresh()\n        fresh2()", "        old()\n").text, want, "only the first line at the margin");
    assert.equal(applied(file.replaceAll("\n", "\r\n"), "fresh()\nfresh2()", "        old()\r\n").text, want.replaceAll("\n", "\r\n"));
  });
  it("keeps what is relative inside the block, in the file's own unit", () => {
    const tabs = "class A {\n\trun() {\n\t\told();\n\t}\n}\n";
    assert.equal(
      applied(tabs, "if (x) {\n    fresh();\n}", "\t\told();\n").text,
      "class A {\n\trun() {\n\t\tif (x) {\n\t\t\tfresh();\n\t\t}\n\t}\n}\n",
    );
    const blanks = "def f():\n  old()\n";
    assert.equal(applied(blanks, "if x:\n\tfresh()\n\n\tmore()", "  old()").text, "def f():\n  if x:\n    fresh()\n\n    more()\n");
    assert.equal(applied(blanks, "if x:\n    fresh()", "  old()").text, "def f():\n  if x:\n    fresh()\n");
    const deep = "class A:\n    def run(self):\n        old()\n";
    assert.equal(
      applied(deep, "if x:\n            fresh()", "        old()").text,
      "class A:\n    def run(self):\n        if x:\n            fresh()\n",
    );
    assert.equal(applied("a = old + 1\n", "fresh", "old").text, "a = fresh + 1\n");
  });
  it("goes to the cursor at its depth, and what follows keeps its own", () => {
    assert.equal(applied("def f():\n    ‸\n    return 1\n", "a = 1\nb = 2").text, "def f():\n    a = 1\n    b = 2\n    return 1\n");
    assert.equal(applied("def f():\n    ‸return 1\n", "a = 1\nb = 2").text, "def f():\n    a = 1\n    b = 2\n    return 1\n");
    assert.equal(applied("x\n‸", "a = 1").text, "x\na = 1\n");
    assert.equal(applied("f(‸)\n", "{\n  a\n}").text, "f({\n  a\n})\n");
  });
  it("replaces the function that begins like it, at its depth", () => {
    const file = "class A {\n  run() {\n    old();\n  }\n\n  stop() {\n    other();\n  }\n}\n";
    assert.deepEqual(applied(file, "run() {\n  fresh();\n}"), {
      how: "matching lines",
      text: "class A {\n  run() {\n    fresh();\n  }\n\n  stop() {\n    other();\n  }\n}\n",
    });
  });
  it("replaces a function whose last line is another one", () => {
    assert.deepEqual(applied("def greet(name):\n    print(name)\n\n\nx = 1\n", "def greet(name):\n    a = 1\n    return a"), {
      how: "matching lines",
      text: "def greet(name):\n    a = 1\n    return a\n\n\nx = 1\n",
    });
    assert.equal(applied("f() {\n  a();\n}\ng();\n", "f() {\n  b();\n};").text, "f() {\n  b();\n};\ng();\n");
  });
  it("does not guess between two places", () => {
    assert.equal(applied("f() {\n}\n‸f() {\n}\n", "f() {\n  1\n}").how, "cursor");
  });
  it("fills an empty file, and goes to the cursor otherwise", () => {
    assert.deepEqual(applied("", "a = 1"), { how: "whole file", text: "a = 1\n" });
    assert.deepEqual(applied("x\n‸y\n", "a = 1"), { how: "cursor", text: "x\na = 1\ny\n" });
  });
  it("never loses text outside the placement", () => {
    const unit = fc.constantFrom("a", "b", "\n", " ", "{", "}", "x();");
    const text = fc.array(unit, { maxLength: 40 }).map((parts) => parts.join(""));
    fc.assert(
      fc.property(text, text, fc.nat(), (file, code, at) => {
        const where = file.length === 0 ? 0 : at % file.length;
        const p = placeCode(file, { start: where, end: where }, code);
        assert.ok(p.start <= p.end && p.end <= file.length && p.start >= 0);
        if (p.how === "cursor") assert.equal(file.slice(p.start, p.end).trim(), "");
        const placed = (block: string) => block.replace(/\s/g, "");
        assert.ok(placed(p.text).includes(placed(code)));
      }),
    );
  });
});

describe("turns as messages", () => {
  const turn = (question: string, answers: string[], chosen = 0) => ({
    id: question,
    question,
    attachments: [],
    chosen,
    leftOut: 0,
    answers: answers.map((text) => ({ act: false, text, state: "done" as const })),
  });
  it("go on with the chosen answer", () => {
    const messages = messagesOf([turn("one", ["a", "b"], 1)], turn("two", []));
    assert.deepEqual(
      messages.map((m) => m.content),
      ["one", "b", "two"],
    );
  });
  it("count as left out once", () => assert.equal(turnsLeftOut([0, 1, 2]), 2));
  it("an attachment cannot end its own fence", () => {
    const text = attachmentText({ kind: "file", label: "a.md", languageId: "markdown", text: "````\ncode\n````\n" });
    assert.match(text, /^File a\.md:\n`{5}markdown\n/);
    assert.match(text, /\n`{5}$/);
  });
  it("a title never splits a character", () => {
    assert.equal(Buffer.from(titleOf({ turns: [turn("😀".repeat(60), [])] })).toString(), `${"😀".repeat(47)}…`);
    assert.equal(titleOf({ turns: [] }), "New conversation");
  });
});
