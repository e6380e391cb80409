import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ChunkRing, chunksOf, importsOf, wordsOf } from "./ring.js";

const source = (name: string, n = 30) =>
  Array.from({ length: n }, (_, i) => `function ${name}${"abcdefghij"[i % 10]}${i}() { return ${name}Helper(); }`).join("\n");

describe("the ring of chunks", () => {
  it("cuts every line into some chunk", () => {
    const lines = Array.from({ length: 257 }, (_, i) => (i % 13 === 12 ? "" : `line number ${i}`));
    const chunks = chunksOf("a.ts", lines.join("\r\n"));
    const seen = new Set(chunks.flatMap((c) => c.text.split("\n")));
    for (const line of lines) if (line) assert.ok(seen.has(line), line);
    assert.ok(chunks.every((c) => c.text.split("\n").length <= 40));
  });
  it("picks what shares words with the cursor, best last, within the budget, never the file itself", () => {
    const ring = new ChunkRing();
    ring.add({ path: "parse.ts", line: 0, text: source("parseHeader") });
    ring.add({ path: "paint.ts", line: 0, text: source("paintCanvas") });
    ring.add({ path: "self.ts", line: 0, text: source("parseHeaderSelf") });
    const picked = ring.pick("const h = parseHeader(", 10_000, "self.ts");
    assert.equal(picked.at(-1)?.path, "parse.ts");
    assert.ok(!picked.some((c) => c.path === "self.ts"));
    assert.deepEqual(ring.pick("parseHeader", 100, "self.ts"), []);
  });
  it("prefers what the file imports", () => {
    const ring = new ChunkRing();
    ring.add({ path: "/w/one.ts", line: 0, text: source("shared") });
    ring.add({ path: "/w/two.ts", line: 0, text: source("shared", 20) });
    assert.equal(ring.pick("sharedHelper", 10_000, "x", ["./one.js"]).at(-1)?.path, "/w/one.ts");
  });
  it("forgets the oldest and what the new one repeats", () => {
    const ring = new ChunkRing(3);
    for (let i = 0; i < 5; i++) ring.add({ path: `f${i}.ts`, line: 0, text: source(`name${"vwxyz"[i]}`) });
    assert.equal(ring.size, 3);
    ring.add({ path: "copy.ts", line: 0, text: source("namez") });
    assert.equal(ring.size, 3);
    ring.forget("copy.ts");
    assert.equal(ring.size, 2);
  });
  it("reads imports of several languages", () => {
    assert.deepEqual(importsOf('import { a } from "./one.js";\nconst b = require("two");\n'), ["./one.js", "two"]);
    assert.deepEqual(importsOf("from pkg.mod import x\nimport other\n"), ["pkg.mod", "other"]);
    assert.deepEqual(importsOf('#include "head.h"\n'), ["head.h"]);
  });
  it("splits identifiers", () => assert.ok(wordsOf("readFileSync").has("file")));
});
