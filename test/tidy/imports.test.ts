// Which folder may import which: the table of ARCHITECTURE.md, as a test.
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { sources } from "./tracked.js";

/** Folder -> folders it may import, besides itself. `core` is pure, so every process may use it; `protocol` is the contract. */
const FOLDERS: Record<string, string[]> = {
  "src/protocol": [],
  "src/core": ["src/protocol"],
  "src/store": ["src/protocol", "src/core"],
  "src/client": ["src/protocol", "src/store"],
  "src/engine": ["src/protocol", "src/core", "src/store"],
  "src/host": ["src/protocol", "src/core", "src/client", "src/store"],
  "src/cli": ["src/protocol", "src/core", "src/client", "src/store"],
  // `docs` writes the pages that are made from the tables of the command line.
  scripts: ["src/protocol", "src/core", "src/client", "src/store", "src/cli"],
  webview: ["src/protocol", "src/core"],
};

/** What tests alone need: fixtures are theirs, and the `test` command sets up the machines of native tests. */
const TEST_SUPPORT: Record<string, (file: string) => boolean> = {
  "test/fixtures/": (file) => file.endsWith(".test.ts") || file.startsWith("test/"),
  "test/attack/": (file) => file.startsWith("scripts/") || file.startsWith("test/"),
  "test/native/support/": (file) => file.startsWith("scripts/") || file.startsWith("test/"),
};

/**
 * Floors inside src/core, lowest first: a subject sees the floors below its own and itself. Subjects on one floor do not see each other.
 * Files directly in src/core (the rule of calibration, secrets) are the lowest floor.
 */
const CORE_FLOORS = [
  ["numbers", "picture", "gguf"],
  ["tasks", "rivals", "ifeval", "sinks", "completion", "conversation"],
  ["search"],
  ["evaluation", "label"],
];

/** Packages that only these places may import. */
const GUARDED: Record<string, (file: string) => boolean> = {
  "node-llama-cpp": (file) => file === "src/engine/native/native.ts" || file.startsWith("test/native/"),
  vscode: (file) => file.startsWith("src/host/") || file.startsWith("test/host/"),
  esbuild: (file) => file.startsWith("scripts/") || file.startsWith("test/"),
  "@vscode/webview-ui-toolkit": (file) => file === "webview/controls.ts",
  "@vscode-elements/elements": (file) => file === "webview/controls.ts",
};

interface Import {
  file: string;
  specifier: string;
}

function importsOf(file: string): Import[] {
  const text = fs.readFileSync(file, "utf8");
  const found = [...text.matchAll(/(?:^|\n)\s*(?:import|export)\s[^;]*?from\s+"([^"]+)"/g), ...text.matchAll(/\bimport\(\s*"([^"]+)"/g)];
  const bare = text.matchAll(/(?:^|\n)import\s+"([^"]+)"/g);
  return [...found, ...bare].map((match) => ({ file, specifier: match[1] ?? "" }));
}

const folderOf = (file: string) => Object.keys(FOLDERS).find((folder) => file.startsWith(`${folder}/`));
const files = sources();
const imports = files.flatMap(importsOf);

test("there is something to look at", () => {
  assert.ok(files.length > 100, `${files.length} source files`);
  assert.ok(imports.length > 300, `${imports.length} imports`);
  for (const folder of Object.keys(FOLDERS))
    assert.ok(
      files.some((file) => file.startsWith(`${folder}/`)),
      `${folder} is empty`,
    );
});

test("folders import only the folders that they may see", () => {
  const wrong = imports.flatMap(({ file, specifier }) => {
    const folder = folderOf(file);
    if (!folder || !specifier.startsWith(".")) return [];
    const target = path.posix.join(path.posix.dirname(file), specifier);
    const support = Object.keys(TEST_SUPPORT).find((folder) => target.startsWith(folder));
    if (support) return TEST_SUPPORT[support]?.(file) ? [] : [`${file} imports ${specifier}: only tests may`];
    const seen = folderOf(target);
    if (!seen) return [`${file} imports ${specifier}, which lies in none of them`];
    return seen === folder || FOLDERS[folder]?.includes(seen) ? [] : [`${file} imports ${specifier}: ${folder} does not see ${seen}`];
  });
  assert.deepEqual(wrong, []);
});

test("subjects of core see only the floors below", () => {
  const subject = (file: string) => /^src\/core\/([^/]+)\//.exec(file)?.[1];
  const floor = (name: string | undefined) => CORE_FLOORS.findIndex((names) => names.includes(name ?? ""));
  const subjects = new Set(files.flatMap((file) => subject(file) ?? []));
  assert.deepEqual([...subjects].sort(), CORE_FLOORS.flat().sort(), "each folder of src/core has its floor");
  const wrong = imports.flatMap(({ file, specifier }) => {
    if (!file.startsWith("src/core/") || file.endsWith(".test.ts") || !specifier.startsWith(".")) return [];
    const target = path.posix.join(path.posix.dirname(file), specifier);
    if (!target.startsWith("src/core/") || subject(target) === subject(file)) return [];
    return floor(subject(target)) < floor(subject(file)) ? [] : [`${file} imports ${specifier}`];
  });
  assert.deepEqual(wrong, []);
});

test("guarded packages are imported in their one place", () => {
  const wrong = imports.flatMap(({ file, specifier }) => {
    const name = Object.keys(GUARDED).find((guarded) => specifier === guarded || specifier.startsWith(`${guarded}/`));
    return name && !GUARDED[name]?.(file) ? [`${file} imports ${specifier}`] : [];
  });
  assert.deepEqual(wrong, []);
  assert.ok(
    imports.some(({ specifier }) => specifier === "node-llama-cpp"),
    "nobody imports node-llama-cpp: the rule looks at nothing",
  );
});

test("core and protocol are pure: no Node module, but in their tests", () => {
  const wrong = imports.filter(
    ({ file, specifier }) => /^src\/(core|protocol)\//.test(file) && !file.endsWith(".test.ts") && specifier.startsWith("node:"),
  );
  assert.deepEqual(wrong, []);
});

test("relative imports name a file with its ending", () => {
  const wrong = imports.filter(({ specifier }) => specifier.startsWith(".") && !/\.(js|mjs|json|css)$/.test(specifier));
  assert.deepEqual(wrong, []);
});
