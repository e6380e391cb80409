// What no tracked file may hold.
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { tracked } from "./tracked.js";

const BINARY = /\.(png|gif|ico|woff2?|gguf|vsix|bin)$/;
const texts = tracked()
  .filter((file) => !BINARY.test(file))
  .map((file) => ({ file, lines: fs.readFileSync(file, "utf8").split("\n") }))
  // Of a patch, what it adds: the lines around are upstream's.
  .map(({ file, lines }) => ({ file, lines: file.endsWith(".patch") ? lines.map((line) => (line.startsWith("+") ? line : "")) : lines }));

/** `file:line: text` of every line that matches. */
function findings(pattern: RegExp, except: (file: string) => boolean = () => false): string[] {
  return texts
    .filter(({ file }) => !except(file) && file !== "test/tidy/texts.test.ts")
    .flatMap(({ file, lines }) =>
      lines.flatMap((line, i) => (pattern.test(line) ? [`${file}:${i + 1}: ${line.trim().slice(0, 120)}`] : [])),
    );
}

test("there is something to look at", () => {
  assert.ok(texts.length > 120, `${texts.length} files`);
});

test("no path of a developer's machine", () => {
  assert.deepEqual(findings(/(^|[\s"'`(=:])(\/work\/|\/root\/|\/home\/[a-z]|\/Users\/[a-z]|[A-Z]:\\+Users\\)/), []);
});

test("no package registry or mirror by host name", () => {
  assert.deepEqual(findings(/registry\.npmjs|registry\.yarnpkg|pypi\.org|pythonhosted|files\.pypi|deb\.debian|"resolved":/), []);
});

test("nothing left for later in the code", () => {
  assert.deepEqual(findings(new RegExp(`\\b(${["TO", "FIX", "X"].map((a, i) => a + ["DO", "ME", "XX"][i]).join("|")})\\b`)), []);
});

test("no test is switched off without a word, or runs alone", () => {
  const isTest = (file: string) => file.endsWith(".test.ts");
  assert.deepEqual(
    findings(/\b(test|it|describe|suite)\.(only|todo)\(|\bskip: true\b|\bonly: true\b/, (file) => !isTest(file)),
    [],
  );
});

test("merge markers and trailing control characters", () => {
  assert.deepEqual(findings(/^(<{7}|>{7}|={7}$)/), []);
});

test("sources end in one line feed and stay readable in one sitting", () => {
  const code = texts.filter(({ file }) => /^(src|webview|scripts|test)\/.*\.(ts|mjs)$/.test(file));
  assert.ok(code.length > 100);
  assert.deepEqual(
    code.filter(({ lines }) => lines.at(-1) !== "" || lines.at(-2) === "").map(({ file }) => file),
    [],
  );
  assert.deepEqual(
    code.filter(({ lines }) => lines.length > 350 + 1).map(({ file, lines }) => `${file}: ${lines.length} lines`),
    [],
  );
});

test("native sources stay under 600 lines", () => {
  const code = texts.filter(({ file }) => /\.(c|cpp|h|hpp|cu|cuh|metal|comp|glsl)$/.test(file));
  assert.ok(code.length > 20);
  assert.deepEqual(
    code.filter(({ lines }) => lines.length > 600 + 1).map(({ file, lines }) => `${file}: ${lines.length} lines`),
    [],
  );
});

test("a folder holds at most 15 files beside tests", () => {
  const counts = new Map<string, number>();
  for (const file of tracked()) {
    if (!/^(src|webview|scripts|test|native-patches)\//.test(file) || /\.test\.ts$/.test(file)) continue;
    if (/^test\/oracle\//.test(file)) continue; // data
    const folder = path.posix.dirname(file);
    counts.set(folder, (counts.get(folder) ?? 0) + 1);
  }
  assert.ok(counts.size > 20);
  assert.deepEqual(
    [...counts].filter(([, count]) => count > 15).map(([folder, count]) => `${folder}: ${count} files`),
    [],
  );
});
