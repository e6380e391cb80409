import assert from "node:assert/strict";
import fs from "node:fs/promises";
import path from "node:path";
import { beforeEach, test } from "node:test";
import { temporaryFolder } from "../../test/fixtures/temporary.js";
import type { ActError } from "../protocol/errors.js";
import { assertNotQuarantined, quarantine, releaseFromQuarantine } from "./quarantine.js";

let file: string;
beforeEach(async () => {
  const folder = temporaryFolder("quarantine");
  process.env.ACT_CACHE = path.join(folder, "cache");
  file = path.join(folder, "model.gguf");
  await fs.writeFile(file, "GGUF");
});

const refused = (error: ActError) => error.code === "model-file" && error.message.includes(file) && error.message.includes("SIGSEGV");

test("a file that crashed the engine is refused with its reason until it changes", async () => {
  await assertNotQuarantined(file);
  await quarantine(file, "ended by SIGSEGV");
  await assert.rejects(assertNotQuarantined(file), refused);
  await fs.writeFile(file, "GGUF and more");
  await assertNotQuarantined(file);
});

test("a file of the same size that was written anew is tried again", async () => {
  await quarantine(file, "ended by SIGSEGV");
  const { mtimeMs } = await fs.stat(file);
  await fs.writeFile(file, "gguf");
  await fs.utimes(file, new Date(), new Date(mtimeMs + 5000));
  await assertNotQuarantined(file);
});

test("released by name; another file is not concerned", async () => {
  const other = `${file}.other`;
  await fs.writeFile(other, "GGUF");
  await Promise.all([quarantine(file, "ended by SIGSEGV"), quarantine(other, "ended by SIGSEGV")]);
  await releaseFromQuarantine(file);
  await assertNotQuarantined(file);
  await assert.rejects(assertNotQuarantined(other));
});

test("a damaged list is no obstacle", async () => {
  await quarantine(file, "ended by SIGSEGV");
  await fs.writeFile(path.join(process.env.ACT_CACHE ?? "", "quarantine.json"), '{"cut');
  await assertNotQuarantined(file);
  await quarantine(file, "ended by SIGSEGV");
  await assert.rejects(assertNotQuarantined(file), refused);
});
