import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import fs from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { temporaryFolder } from "../../test/fixtures/temporary.js";
import { writeFileAtomic } from "./atomic.js";
import { makeFolder } from "./folder.mjs";

test("folders are made with those above them, twice without harm", async () => {
  const base = temporaryFolder("folder");
  const deep = path.join(base, "a", "b", "c");
  await makeFolder(deep);
  await makeFolder(deep);
  assert.ok(existsSync(deep));
  await fs.writeFile(path.join(base, "file"), "");
  await assert.rejects(makeFolder(path.join(base, "file", "below")), { code: "ENOTDIR" });
});

test("a place that takes no folders is refused with a sentence, at once", {
  skip: !existsSync("/proc/self") && "no /proc here",
}, async () => {
  await assert.rejects(writeFileAtomic("/proc/nowhere/file", "x"), { code: "store", message: /cannot be (written|made)/ });
});
