import assert from "node:assert/strict";
import fs from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { temporaryFolder } from "../../test/fixtures/temporary.js";
import { mergeChanges, readChanges } from "./changes.js";

test("the entries of this repository can be released", async () => {
  const changes = await readChanges(process.cwd());
  for (const { file, text } of changes) assert.match(text, /\.$/m, `${file} is no sentence`);
  assert.match(
    mergeChanges(await fs.readFile("CHANGELOG.md", "utf8"), "9.9.9", "2030-01-02", changes),
    /^# Changelog\n\n## 9\.9\.9 \(2030-01-02\)\n/,
  );
});

test("entries are grouped by kind, the older releases stay below", () => {
  const merged = mergeChanges("# Changelog\n\n## 1.0.0\n\n- old\n", "1.1.0", "2030-01-02", [
    { file: "a", kind: "fixed", text: "a bug\nin two lines." },
    { file: "b", kind: "added", text: "a thing." },
  ]);
  assert.equal(
    merged,
    "# Changelog\n\n## 1.1.0 (2030-01-02)\n\n### Added\n\n- a thing.\n\n### Fixed\n\n- a bug\n  in two lines.\n\n## 1.0.0\n\n- old\n",
  );
});

test("a file without its kind is named", async () => {
  const root = temporaryFolder("changes");
  await fs.mkdir(path.join(root, "changes"));
  await fs.writeFile(path.join(root, "changes", "x.md"), "Something happened.\n");
  await assert.rejects(readChanges(root), /changes\/x\.md must begin with/);
});
