import assert from "node:assert/strict";
import fs from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { temporaryFolder } from "../../test/fixtures/temporary.js";
import { ActError } from "../protocol/errors.js";
import { storeError, writeFileAtomic } from "./atomic.js";
import { cacheFolder } from "./cache-folder.js";

test("the file is there whole, the folder is created, nothing else is left", async () => {
  const folder = temporaryFolder("atomic");
  const file = path.join(folder, "sub", "a.json");
  await writeFileAtomic(file, "one");
  await writeFileAtomic(file, "two");
  assert.equal(await fs.readFile(file, "utf8"), "two");
  assert.deepEqual(await fs.readdir(path.dirname(file)), ["a.json"]);
});

test("a target that cannot be written keeps what is there, as a sentence", async () => {
  const folder = temporaryFolder("atomic");
  await fs.writeFile(path.join(folder, "plain"), "x");
  await assert.rejects(
    writeFileAtomic(path.join(folder, "plain", "a"), "y"),
    (error: ActError) => error.code === "store" && /folder/.test(error.message),
  );
  await fs.mkdir(path.join(folder, "dir"));
  await assert.rejects(writeFileAtomic(path.join(folder, "dir"), "y"), ActError);
  assert.deepEqual((await fs.readdir(folder)).sort(), ["dir", "plain"]);
});

test("a full disk is a sentence that names the file", () => {
  const error = storeError(Object.assign(new Error("write"), { code: "ENOSPC" }), "/x/y") as ActError;
  assert.equal(error.code, "store");
  assert.match(error.message, /no space left to write \/x\/y/i);
});

test("the cache folder follows the platform and ACT_CACHE", () => {
  assert.equal(cacheFolder({}, "linux", "/h"), path.join("/h", ".cache", "act-vscode"));
  assert.equal(cacheFolder({ XDG_CACHE_HOME: "/c" }, "linux", "/h"), path.join("/c", "act-vscode"));
  assert.equal(cacheFolder({}, "darwin", "/h"), path.join("/h", "Library", "Caches", "act-vscode"));
  assert.equal(cacheFolder({ LOCALAPPDATA: "/l" }, "win32", "/h"), path.join("/l", "act-vscode"));
  assert.equal(cacheFolder({ ACT_CACHE: "/x", XDG_CACHE_HOME: "/c" }, "linux", "/h"), path.resolve("/x"));
});
