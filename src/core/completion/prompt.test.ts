import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { cutStep } from "./budget.js";
import { type InfillVocabulary, infillPrompt } from "./prompt.js";

/** One token per character, so that a prompt can be read back. */
const tokenize = (text: string) => [...text].map((character) => character.codePointAt(0) ?? 0);
const PREFIX = -1;
const SUFFIX = -2;
const MIDDLE = -3;
const FILE = -4;
const BOS = -5;
const names = new Map([
  [PREFIX, "<P>"],
  [SUFFIX, "<S>"],
  [MIDDLE, "<M>"],
  [FILE, "<F>"],
  [BOS, "<B>"],
]);
const text = (tokens: number[]) => tokens.map((token) => names.get(token) ?? String.fromCodePoint(token)).join("");
const fim: InfillVocabulary = { tokenize, bos: null, infill: { prefix: PREFIX, suffix: SUFFIX, middle: MIDDLE }, fileSeparator: FILE };
const plain: InfillVocabulary = { ...fim, infill: null };

test("the model's own tokens, context before the file, least relevant first", () => {
  const prompt = infillPrompt(
    {
      prefix: "def f(",
      suffix: "):\n",
      path: "a.py",
      context: [
        { path: "far.py", text: "x=1" },
        { path: "near.py", text: "y=2\n" },
      ],
    },
    { ...fim, bos: BOS },
    1000,
  );
  assert.equal(text(prompt.tokens), "<B><F>far.py\nx=1\n<F>near.py\ny=2\n<F>a.py\n<P>def f(<S>):\n<M>");
  assert.deepEqual([prompt.form, prompt.dropped], ["fill-in-the-middle", 0]);
});

test("prefix form: the suffix is left out, and no path where the model has no separator", () => {
  assert.equal(text(infillPrompt({ prefix: "let a = ", suffix: ";", path: "a.ts" }, plain, 100).tokens), "<F>a.ts\nlet a = ");
  const bare = { ...plain, fileSeparator: null };
  assert.equal(
    text(infillPrompt({ prefix: "x", suffix: "", path: "a.ts", context: [{ path: "b", text: "t" }] }, bare, 100).tokens),
    "t\n\nx",
  );
});

test("short of room: context goes first (least relevant first of all), then the far ends", () => {
  const context = [
    { path: "a", text: "1234567890" },
    { path: "b", text: "12345" },
  ];
  const source = { prefix: "p".repeat(20), suffix: "s".repeat(10), context };
  assert.equal(infillPrompt(source, fim, 33 + 9).dropped, 1);
  assert.equal(infillPrompt(source, fim, 33 + 8).dropped, 2);
  const tight = text(infillPrompt({ prefix: "abcdefgh".repeat(100), suffix: "s".repeat(900) }, fim, 203).tokens);
  const [, prefix = "", suffix = ""] = /^<P>(.*)<S>(.*)<M>$/.exec(tight) ?? [];
  assert.ok("abcdefgh".repeat(100).endsWith(prefix));
  assert.equal(suffix, "s".repeat(50));
});

test("typing on moves the cut only every so many tokens, so the cache behind it stays", () => {
  const starts = new Set<string>();
  const keys = cutStep(150);
  for (let typed = 0; typed < keys; typed++) {
    const file = Array.from({ length: 400 }, (_, i) => String.fromCodePoint(0x4e00 + i)).join("") + "k".repeat(typed);
    starts.add(text(infillPrompt({ prefix: file, suffix: "s".repeat(400) }, fim, 203).tokens).slice(3, 4));
  }
  assert.ok(starts.size <= 2, `the cut moved ${starts.size} times in ${keys} keys`);
});

test("a long path gives way to the text around the cursor", () => {
  const tokens = infillPrompt({ prefix: "x = ", suffix: "", path: `${"long/".repeat(20)}a.py` }, fim, 40).tokens;
  assert.equal(text(tokens), "<P>x = <S><M>");
});

test("the text around the cursor has its share at every budget", () => {
  fc.assert(
    fc.property(fc.integer({ min: 16, max: 3000 }), fc.nat(5000), fc.nat(5000), (budget, before, after) => {
      const { tokens } = infillPrompt({ prefix: "p".repeat(before), suffix: "s".repeat(after) }, fim, budget);
      const count = (letter: string) => tokens.filter((token) => token === letter.charCodeAt(0)).length;
      const room = budget - 3;
      assert.ok(count("p") >= Math.min(before, room * 0.75 * 0.75 - 1), `${count("p")} of ${before} before, budget ${budget}`);
      assert.ok(count("s") >= Math.min(after, room * 0.25 - 1), `${count("s")} of ${after} after, budget ${budget}`);
    }),
  );
});

test("property: never over the budget, the end of the prefix and the start of the suffix always there, no half characters", () => {
  const source = fc.record({
    prefix: fc.string({ unit: "binary", maxLength: 3000 }),
    suffix: fc.string({ unit: "binary", maxLength: 3000 }),
    path: fc.option(fc.constant("src/a.ts"), { nil: undefined }),
    context: fc.array(fc.record({ path: fc.constant("b.ts"), text: fc.string({ maxLength: 60 }) }), { maxLength: 4 }),
  });
  fc.assert(
    fc.property(source, fc.integer({ min: 16, max: 500 }), fc.boolean(), (input, budget, withTokens) => {
      const { tokens } = infillPrompt(input, withTokens ? fim : plain, budget);
      assert.ok(tokens.length <= budget, `${tokens.length} tokens in a budget of ${budget}`);
      assert.ok(!tokens.some((token) => token >= 0xd800 && token < 0xe000));
      const last = [...input.prefix].at(-1)?.codePointAt(0);
      if (last !== undefined) assert.equal(tokens[withTokens ? tokens.lastIndexOf(SUFFIX) - 1 : tokens.length - 1], last);
      const first = [...input.suffix][0]?.codePointAt(0);
      if (withTokens && first !== undefined && budget > 40) assert.equal(tokens[tokens.lastIndexOf(SUFFIX) + 1], first);
    }),
  );
});
