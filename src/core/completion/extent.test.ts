import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { CHARACTERS_PER_TOKEN, shares } from "./budget.js";
import { AnswerCache } from "./cache.js";
import { AdaptiveDebounce } from "./debounce.js";
import { afterBlanks, extentAt, finishedAt, unsuitable, windowAround } from "./extent.js";
import { rulesFor } from "./language.js";

const at = (text: string) => {
  const [prefix = "", suffix = ""] = text.split("‸");
  return { prefix, suffix };
};

/** A lone half of a surrogate pair cannot be encoded. */
const wellFormed = (text: string) => Buffer.from(text).toString() === text;

describe("the window around the cursor", () => {
  it("never splits a surrogate pair and never invents text", () => {
    const unit = fc.constantFrom("😀", "a", "\n", "\r\n", "\t", "中");
    fc.assert(
      fc.property(fc.array(unit, { maxLength: 200 }), fc.nat(), fc.integer({ min: 1, max: 60 }), (parts, where, size) => {
        const text = parts.join("");
        const offset = parts.slice(0, parts.length ? where % parts.length : 0).join("").length;
        const { prefix, suffix } = windowAround(text, offset, size, size);
        assert.ok(text.slice(0, offset).replace(/\r\n?/g, "\n").endsWith(prefix));
        assert.ok(text.slice(offset).replace(/\r\n?/g, "\n").startsWith(suffix));
        assert.ok(wellFormed(prefix));
        assert.ok(wellFormed(suffix));
      }),
    );
  });
  it("is never empty where there is text: at every offset and budget most of what may be there is", () => {
    const text = Array.from({ length: 300 }, (_, i) => `const v${i} = ${i};\n`).join("");
    assert.ok(windowAround(text, 2000, 1536, 512).prefix.length > 1536 * 0.75);
    for (const tokens of [128, 200, 512, 1024, 16_384]) {
      for (let offset = 1; offset < text.length; offset += 7) {
        const share = shares(tokens * CHARACTERS_PER_TOKEN, offset, text.length - offset);
        const { prefix, suffix } = windowAround(text, offset, share.before, share.after);
        assert.ok(prefix.length >= Math.min(offset, share.before * 0.75 - 20), `${prefix.length} before ${offset} of ${share.before}`);
        assert.ok(suffix.length >= Math.min(text.length - offset, share.after / 2), `${suffix.length} after ${offset}`);
        assert.ok(prefix.length + suffix.length <= tokens * CHARACTERS_PER_TOKEN);
      }
    }
  });
  it("cuts a line that is longer than the window", () => {
    const text = `${"x".repeat(10_000)}\n${"y".repeat(10_000)}`;
    const { prefix, suffix } = windowAround(text, 9_999, 1536, 512);
    assert.ok(prefix.length > 1100, `${prefix.length}`);
    assert.ok(suffix.length > 255, `${suffix.length}`);
  });
  it("keeps its start while the user types", () => {
    const line = "const value = compute(1);\n";
    const text = line.repeat(2000);
    const start = (offset: number) => offset - windowAround(text, offset, 8000, 1000).prefix.length;
    const starts = new Set(Array.from({ length: 100 }, (_, i) => start(30_000 + i)));
    assert.ok(starts.size <= 2, `${starts.size} starts in 100 keys`);
  });
});

describe("extent", () => {
  const cases: [string, string, string][] = [
    ["typescript", "const x = ‸", "line"],
    ["typescript", "if (a) {‸", "block"],
    ["typescript", "if (a) {\n  ‸\n}", "block"],
    ["typescript", "foo(‸) + bar", "line"],
    ["python", "def f(x):‸", "block"],
    ["python", "def f(x):\n    ‸\n", "block"],
    ["python", "x = [‸]", "block"],
    ["markdown", "Some ‸", "line"],
    ["typescript", "// adds two numbers ‸", "line"],
    ["typescript", "// adds two numbers\n‸", "block"],
  ];
  for (const [language, text, want] of cases)
    it(`${language}: ${JSON.stringify(text)}`, () => assert.equal(extentAt(at(text), rulesFor(language)), want));
});

describe("where a stream may stop", () => {
  const finished = (language: string, text: string, answer: string) => {
    const rules = rulesFor(language);
    const cursor = at(text);
    const end = finishedAt(answer, extentAt(cursor, rules), cursor, rules, 4);
    return end < 0 ? null : answer.slice(0, end);
  };
  it("a line at its end", () => assert.equal(finished("typescript", "const x = ‸", "1;\nconst y"), "1;"));
  it("a growing line not yet", () => assert.equal(finished("typescript", "const x = ‸", "1; /* "), null));
  it("a block with its closing bracket", () => assert.equal(finished("typescript", "if (a) {‸", "\n  b();\n}\nelse"), "\n  b();\n}"));
  it("a block of indentation where that falls back", () =>
    assert.equal(finished("python", "def f(x):\n    ‸", "y = x\n    return y\n\ndef g():\n"), "y = x\n    return y\n"));
  it("statements at an empty line at the next blank line", () =>
    assert.equal(finished("python", "a = 1\n‸", "b = 2\n\nc = 3\nd"), "b = 2"));
});

describe("blanks before the cursor that the model writes itself", () => {
  it("are taken off once they have come", () => {
    assert.equal(afterBlanks("\n", "\n    ", false), null);
    assert.equal(afterBlanks("\n    return", "\n    ", false), "    return");
    assert.equal(afterBlanks("\n\n\ndef f", "\n\n\n", false), "def f");
    assert.equal(afterBlanks(" 1", " ", false), "1");
    assert.equal(afterBlanks("1", "", false), "1");
  });
  it("an answer that goes on with the line above does not belong here", () => assert.equal(afterBlanks(" # more", "\n", false), null));
});

describe("files that get nothing", () => {
  it("binary, minified, huge", () => {
    assert.match(unsuitable("a\0b", 0) ?? "", /binary/);
    assert.match(unsuitable("x".repeat(6000), 10) ?? "", /minified/);
    assert.match(unsuitable("a\n".repeat(1_100_000), 10) ?? "", /larger/);
    assert.equal(unsuitable("const a = 1;\n", 5), null);
    assert.equal(unsuitable("", 0), null);
  });
});

describe("the cache of answers", () => {
  it("goes on while the user types what was suggested", () => {
    const cache = new AnswerCache();
    cache.add(at("let a = ‸\n"), "compute(1);");
    assert.deepEqual(cache.find(at("let a = com‸\n")), { text: "pute(1);", typed: 3 });
    assert.equal(cache.find(at("let a = cox‸\n")), null);
    assert.equal(cache.find(at("let b = ‸\n")), null);
  });
  it("is not put off by brackets that the editor closes by itself", () => {
    const cache = new AnswerCache();
    cache.add(at("let a = ‸\n"), "compute(1);");
    assert.deepEqual(cache.find(at("let a = compute(‸)\n")), { text: "1);", typed: 8 });
  });
  it("has nothing left when all is typed, and forgets the oldest", () => {
    const cache = new AnswerCache(2);
    cache.add(at("a‸"), "b");
    assert.equal(cache.find(at("ab‸")), null);
    cache.add(at("c‸"), "d");
    cache.add(at("e‸"), "f");
    assert.equal(cache.find(at("a‸")), null);
    assert.equal(cache.find(at("e‸"))?.text, "f");
  });
  it("works where the window is cut", () => {
    const long = "x = 1\n".repeat(1000);
    const cache = new AnswerCache();
    cache.add({ prefix: long, suffix: "" }, "y = 2");
    assert.equal(cache.find({ prefix: `${long.slice(600)}y `, suffix: "" })?.text, "= 2");
  });
});

describe("debounce", () => {
  it("waits less for a slow typist's boundary, more for a slow engine, within its limits", () => {
    const fast = new AdaptiveDebounce();
    const slow = new AdaptiveDebounce();
    for (let i = 0; i < 50; i++) {
      fast.key(i * 100);
      slow.key(i * 100);
      fast.answered(20);
      slow.answered(3000);
    }
    assert.ok(fast.delay(false) < slow.delay(false));
    assert.ok(fast.delay(true) <= fast.delay(false));
    assert.ok(slow.delay(false) <= 400 && fast.delay(true) >= 20);
  });
  it("does not learn from pauses for thought", () => {
    const d = new AdaptiveDebounce();
    const before = d.delay(false);
    for (let i = 1; i < 20; i++) d.key(i * 60_000);
    assert.equal(d.delay(false), before);
  });
});
