import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { temporaryFolder } from "../../test/fixtures/temporary.js";
import { decodeText, readTextFile, readTextInside } from "./text-file.js";

const folder = temporaryFolder("text-file");
const at = (name: string) => path.join(folder, name);
const windows = process.platform === "win32" && "Windows has no such files";

test("text as it is, and without its byte order mark in every encoding", async () => {
  fs.writeFileSync(at("plain"), "Grüße\n");
  assert.equal(await readTextFile(at("plain")), "Grüße\n");
  assert.equal(decodeText(Buffer.from("\ufeffa", "utf8"), true), "a");
  assert.equal(decodeText(Buffer.from("\ufeffaß", "utf16le"), true), "aß");
  assert.equal(decodeText(Buffer.from("\ufeffaß", "utf16le").swap16(), true), "aß");
  assert.equal(decodeText(Uint8Array.of(0x61, 0xff), false), "a\ufffd");
  assert.throws(() => decodeText(Uint8Array.of(0x61, 0xff), true), /not UTF-8 text/);
});

test("a pipe or a device is refused at once, also behind a link", { skip: windows, timeout: 5000 }, async () => {
  execFileSync("mkfifo", [at("pipe")]);
  fs.symlinkSync("/dev/zero", at("zeros"));
  for (const name of ["pipe", "zeros"]) await assert.rejects(readTextFile(at(name)), /it is not a plain file/);
  await assert.rejects(readTextFile("/dev/tty"), /not a plain file|ENXIO|does not exist/);
});

test("folders, missing and long files each say what they are", async () => {
  fs.writeFileSync(at("long"), "x".repeat(2000));
  await assert.rejects(readTextFile(folder), /it is a folder/);
  await assert.rejects(readTextFile(at("none")), /it does not exist/);
  await assert.rejects(readTextFile(at("long"), { most: 1999 }), /it is 0\.0 MB long; at most/);
  assert.equal((await readTextFile(at("long"), { most: 2000 })).length, 2000);
});

test("a file whose length is not told is read whole", { skip: !fs.existsSync("/proc/self/status") && "there is no /proc" }, async () => {
  assert.match(await readTextFile("/proc/self/status"), /VmRSS/);
});

test("no link leads out of a folder, neither the file nor a folder on the way", { skip: windows }, async () => {
  const root = temporaryFolder("inside");
  fs.mkdirSync(path.join(root, "a"));
  fs.writeFileSync(path.join(root, "a", "own"), "own");
  fs.symlinkSync("own", path.join(root, "a", "near"));
  fs.symlinkSync(at("plain"), path.join(root, "a", "far"));
  fs.symlinkSync(folder, path.join(root, "b"));
  assert.equal(await readTextInside(root, "a/own"), "own");
  assert.equal(await readTextInside(root, "a/near"), "own");
  for (const out of ["a/far", "b/plain", "../plain"])
    await assert.rejects(readTextInside(root, out), /leads out of the folder|does not exist/);
});
