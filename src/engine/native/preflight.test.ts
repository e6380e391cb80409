import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { buildGguf, tinyLlama } from "../../../test/fixtures/gguf.js";
import { temporaryFolder } from "../../../test/fixtures/temporary.js";
import { ActError } from "../../protocol/errors.js";
import { quarantine } from "../../store/quarantine.js";
import { preflight, readModelHeader } from "./preflight.js";

const folder = temporaryFolder("preflight");
process.env.ACT_CACHE = path.join(folder, "cache");

function write(name: string, content: Uint8Array | string): string {
  const file = path.join(folder, name);
  fs.writeFileSync(file, content);
  return file;
}

const refused = (file: string, message: RegExp) => (error: ActError) => {
  assert.ok(error instanceof ActError);
  assert.equal(error.code, "model-file");
  assert.ok(error.message.includes(file), error.message);
  assert.match(error.message, message);
  return true;
};

test("a sound file passes with its header", async () => {
  const file = write("good.gguf", buildGguf(tinyLlama()));
  assert.equal((await preflight(file)).header.architecture, "llama");
});

test("missing, empty, a folder, not GGUF, cut: a sentence that names the file", () => {
  const gone = path.join(folder, "gone.gguf");
  assert.throws(() => readModelHeader(gone), refused(gone, /does not exist/));
  const empty = write("empty.gguf", "");
  assert.throws(() => readModelHeader(empty), refused(empty, /is empty/));
  assert.throws(() => readModelHeader(folder), refused(folder, /is a folder/));
  const text = write("text.gguf", "just a text");
  assert.throws(() => readModelHeader(text), refused(text, /does not begin with "GGUF"/));
  const cut = write("cut.gguf", buildGguf(tinyLlama()).slice(0, -4096));
  assert.throws(() => readModelHeader(cut), refused(cut, /is cut off/));
});

test("a file without layers is no language model", async () => {
  const spec = tinyLlama();
  spec.metadata = spec.metadata.filter(([key]) => key !== "llama.block_count");
  const file = write("adapter.gguf", buildGguf(spec));
  await assert.rejects(preflight(file), refused(file, /names 0 layers/));
});

test("a split model: any part but the first, a first part without the others, a wrong name; then all of it with its whole size", async () => {
  const spec = (part: number) => {
    const { metadata, tensors } = tinyLlama();
    const split = [
      ["split.no", { type: "u32", value: part }],
      ["split.count", { type: "u32", value: 3 }],
    ] as (typeof metadata)[number][];
    return buildGguf({ metadata: part === 0 ? [...split, ...metadata] : split, tensors: tensors.slice(part, part + 1) });
  };
  const names = [1, 2, 3].map((part) => `whole-0000${part}-of-00003.gguf`);
  const first = write(names[0] ?? "", spec(0));
  const second = write(names[1] ?? "", spec(1));
  await assert.rejects(preflight(second), refused(second, /part 2 of 3 of a split model; choose the first part/));
  await assert.rejects(preflight(first), (error: ActError) => /whole-00003-of-00003\.gguf is not beside it/.test(error.message));
  const third = write(names[2] ?? "", spec(2));
  const { bytes } = await preflight(first);
  assert.equal(
    bytes,
    [first, second, third].reduce((sum, file) => sum + fs.statSync(file).size, 0),
  );
  const renamed = write("mine.gguf", spec(0));
  await assert.rejects(preflight(renamed), refused(renamed, /must end in -00001-of-00003\.gguf/));
});

test("a pipe in a model's place is refused at once", {
  skip: process.platform === "win32" && "Windows has none",
  timeout: 5000,
}, async () => {
  const file = path.join(folder, "pipe.gguf");
  execFileSync("mkfifo", [file]);
  await assert.rejects(preflight(file), refused(file, /not a plain file/));
});

test("a file in quarantine does not reach native code", async () => {
  const file = write("crashes.gguf", buildGguf(tinyLlama()));
  await quarantine(file, "ended by SIGABRT");
  await assert.rejects(preflight(file), refused(file, /crashed the engine before/));
});

test("a sparse file of 4 GB whose header promises everything is refused at once, in little memory", () => {
  const header = Buffer.from(buildGguf(tinyLlama()).slice(0, 24));
  header.writeBigUInt64LE(60_000n, 16); // metadata keys
  const file = write("sparse.gguf", header);
  fs.truncateSync(file, 2 ** 32);
  const before = process.memoryUsage.rss();
  const started = performance.now();
  assert.throws(() => readModelHeader(file), refused(file, /is empty/));
  assert.ok(performance.now() - started < 2000);
  assert.ok(process.memoryUsage.rss() - before < 200e6);
});
