// package.json, the licence and the documents that go with it.
import assert from "node:assert/strict";
import fs from "node:fs";
import { test } from "node:test";
import { readPatchList } from "../../scripts/native/patches.js";

const manifest = JSON.parse(fs.readFileSync("package.json", "utf8"));
const lock = JSON.parse(fs.readFileSync("package-lock.json", "utf8"));
const architecture = fs.readFileSync("ARCHITECTURE.md", "utf8");

test("each dependency is pinned, and the lock file agrees", () => {
  const all: Record<string, string> = { ...manifest.dependencies, ...manifest.devDependencies };
  assert.ok(Object.keys(all).length > 10);
  for (const [name, version] of Object.entries(all)) {
    assert.match(version, /^\d+\.\d+\.\d+$/, `${name} is not pinned`);
    assert.equal(lock.packages[`node_modules/${name}`]?.version, version, `${name} differs in package-lock.json`);
  }
});

test("each dependency at run time has its reason in ARCHITECTURE.md", () => {
  const names = Object.keys(manifest.dependencies);
  assert.ok(names.length > 0);
  for (const name of names) assert.match(architecture, new RegExp(`\`${name}\`[^\\n]{20,}`), `${name} is not explained`);
});

test("each folder has its line in ARCHITECTURE.md", () => {
  const folders = fs.readdirSync("src", { withFileTypes: true }).filter((entry) => entry.isDirectory());
  assert.ok(folders.length >= 7);
  for (const { name } of folders) assert.match(architecture, new RegExp(`\\b${name}/`), `src/${name} is not described`);
});

test("the README names the two commands, and CI runs the one that tests", () => {
  const readme = fs.readFileSync("README.md", "utf8");
  for (const command of ["npm start", "npm test"]) assert.ok(readme.includes(command), `${command} is not in the README`);
  assert.equal(manifest.scripts.test, "node scripts/run.mjs test");
  assert.match(fs.readFileSync(".ci/run", "utf8"), /^npm test\b/m);
});

test("licence: MIT in manifest and file", () => {
  assert.equal(manifest.license, "MIT");
  assert.match(fs.readFileSync("LICENSE", "utf8"), /^MIT License/);
});

test("native patches: listed, each with its reason above the first change, insertions mostly", async () => {
  const list = await readPatchList("native-patches");
  assert.ok(list.patches.length > 0 && list.copies.length > 0);
  for (const { file } of list.patches) {
    const text = fs.readFileSync(`native-patches/${file}`, "utf8");
    const head = text.slice(0, text.search(/^(diff |--- )/m));
    assert.ok(head.trim().length > 20, `${file} does not say its reason above its first change`);
  }
});

test("commands: package.json contributes those of the extension's table, no more and no fewer", () => {
  const table = fs.readFileSync("src/host/commands.ts", "utf8");
  const ids = [...table.slice(0, table.indexOf("as const")).matchAll(/"(act\.\w+)"/g)].map((match) => match[1]);
  assert.ok(ids.length > 20);
  const contributed = manifest.contributes.commands.map(({ command }: { command: string }) => command);
  assert.deepEqual([...ids].sort(), [...contributed].sort());
  const menus = Object.values(manifest.contributes.menus).flat() as { command?: string }[];
  for (const { command } of menus) assert.ok(command === undefined || ids.includes(command), `${command} stands in a menu only`);
});
