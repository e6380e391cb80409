import assert from "node:assert/strict";
import fs from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { temporaryFolder } from "../../test/fixtures/temporary.js";
import { applyPatchList, PATCH_SET_HEADER, readPatchList, type Tree, type TreePlace } from "./patches.js";

const UPSTREAM: Record<string, string> = { "src/graph.cpp": "one\ntwo\nthree\nfour\nfive\n", "src/other.cpp": "other\n" };
const PATCH = `Reason: a call site.
--- a/src/graph.cpp
+++ b/src/graph.cpp
@@ -1,5 +1,6 @@
 one
 two
+act();
 three
 four
 five
`;

async function setUp() {
  const base = temporaryFolder("patches");
  const write = async (file: string, text: string) => {
    await fs.mkdir(path.dirname(path.join(base, file)), { recursive: true });
    await fs.writeFile(path.join(base, file), text);
  };
  const place = (tree: Tree): TreePlace => ({
    folder: path.join(base, "build", tree),
    upstream: async (file) => (tree === "llama.cpp" && UPSTREAM[file] !== undefined ? Buffer.from(UPSTREAM[file]) : null),
  });
  for (const [file, text] of Object.entries(UPSTREAM)) await write(`build/llama.cpp/${file}`, text);
  await write("patches/list", "# order\nllama.cpp/graph.patch\n");
  await write("patches/llama.cpp/graph.patch", PATCH);
  await write("patches/src/llama.cpp/src/act.cpp", "ours\n");
  const places = { "llama.cpp": place("llama.cpp"), "node-llama-cpp": place("node-llama-cpp") };
  return {
    write,
    list: () => readPatchList(path.join(base, "patches")),
    apply: async (list: Awaited<ReturnType<typeof readPatchList>> | null) =>
      applyPatchList(list, places, path.join(base, "stage"), path.join(base, "touched.json")),
    read: (file: string) => fs.readFile(path.join(base, "build", file), "utf8").catch(() => null),
    remove: (file: string) => fs.rm(path.join(base, file)),
  };
}

test("patches, own files and the patch set's header reach the tree; a second run writes nothing", async () => {
  const s = await setUp();
  const list = await s.list();
  assert.match(list.hash, /^[0-9a-f]{16}$/);
  assert.deepEqual(await s.apply(list), { written: 3 });
  assert.equal(await s.read("llama.cpp/src/graph.cpp"), "one\ntwo\nact();\nthree\nfour\nfive\n");
  assert.equal(await s.read("llama.cpp/src/act.cpp"), "ours\n");
  assert.ok((await s.read(`node-llama-cpp/${PATCH_SET_HEADER}`))?.includes(`"${list.hash}"`));
  assert.deepEqual(await s.apply(list), { written: 0 });
});

test("a file that is no longer patched goes back to upstream, one of ours disappears", async () => {
  const s = await setUp();
  await s.apply(await s.list());
  await s.write("patches/list", "");
  await s.remove("patches/llama.cpp/graph.patch");
  await s.remove("patches/src/llama.cpp/src/act.cpp");
  await s.apply(await s.list());
  assert.equal(await s.read("llama.cpp/src/graph.cpp"), UPSTREAM["src/graph.cpp"]);
  assert.equal(await s.read("llama.cpp/src/act.cpp"), null);
  await s.apply(null);
  assert.equal(await s.read(`node-llama-cpp/${PATCH_SET_HEADER}`), null, "the reference tree holds nothing of ours");
});

test("a patch that does not fit stops with its name and leaves the tree alone", async () => {
  const s = await setUp();
  await s.write("patches/llama.cpp/graph.patch", PATCH.replace(" two", " zwei"));
  await assert.rejects(s.apply(await s.list()), /llama\.cpp\/graph\.patch does not fit/);
  assert.equal(await s.read("llama.cpp/src/graph.cpp"), UPSTREAM["src/graph.cpp"]);
  assert.equal(await s.read("llama.cpp/src/act.cpp"), null);
});

test("the hash follows content and order, not comments", async () => {
  const s = await setUp();
  const { hash } = await s.list();
  await s.write("patches/list", "# another comment\r\nllama.cpp/graph.patch\r\n");
  assert.equal((await s.list()).hash, hash);
  await s.write("patches/src/llama.cpp/src/act.cpp", "changed\n");
  assert.notEqual((await s.list()).hash, hash);
});

test("a patch that no line names, a missing one and a foreign line are refused", async () => {
  const s = await setUp();
  await s.write("patches/list", "");
  await assert.rejects(s.list(), /graph\.patch is not named/);
  await s.write("patches/list", "llama.cpp/graph.patch\nllama.cpp/gone.patch\n");
  await assert.rejects(s.list(), /gone\.patch.*no such file/);
  await s.write("patches/list", "llama.cpp/graph.patch\nelsewhere/x.patch\n");
  await assert.rejects(s.list(), /TREE\/FILE\.patch/);
  await s.write("patches/list", "llama.cpp/graph.patch\nllama.cpp/../x.patch\n");
  await assert.rejects(s.list(), /TREE\/FILE\.patch/);
});

test("own files never overwrite upstream's", async () => {
  const s = await setUp();
  await s.write("patches/src/llama.cpp/src/other.cpp", "mine\n");
  await assert.rejects(s.apply(await s.list()), /would overwrite llama\.cpp\/src\/other\.cpp/);
});
