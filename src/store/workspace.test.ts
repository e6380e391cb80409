import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import fs from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { temporaryFolder } from "./temporary-fixture.js";
import { sourceFiles } from "./workspace.js";

async function tree(files: Record<string, string>): Promise<string> {
  const root = temporaryFolder("workspace");
  for (const [name, text] of Object.entries(files)) {
    await fs.mkdir(path.dirname(path.join(root, name)), { recursive: true });
    await fs.writeFile(path.join(root, name), text);
  }
  return root;
}
const names = async (root: string) => (await sourceFiles(root)).map((file) => file.path);

test("in a git work tree: tracked and not ignored", async () => {
  const root = await tree({
    "a.ts": "a",
    "src/b.py": "b",
    "loose.ts": "x",
    "ignored.ts": "x",
    ".gitignore": "ignored.ts\n",
    "big.ts": "x".repeat(300_000),
  });
  const git = (...args: string[]) => execFileSync("git", ["-C", root, ...args], { stdio: "ignore" });
  git("init");
  git("add", "-f", "a.ts", "src/b.py", "ignored.ts", "big.ts");
  await fs.symlink("/etc/hostname", path.join(root, "link.ts"));
  git("add", "link.ts");
  assert.deepEqual(await names(root), ["a.ts", "src/b.py"]);
});

test("without git: the ignore files of each folder count", async () => {
  const root = await tree({
    "a.ts": "a\r\nb",
    "sub/b.ts": "b",
    "sub/c.ts": "c",
    "sub/.gitignore": "c.ts\n",
    "node_modules/x/y.js": "y",
    ".hidden/z.ts": "z",
  });
  // A folder above may be a work tree; this one says it is none.
  const before = process.env.GIT_CEILING_DIRECTORIES;
  process.env.GIT_CEILING_DIRECTORIES = path.dirname(root);
  try {
    assert.deepEqual(await names(root), ["a.ts", "sub/b.ts"]);
    assert.equal((await sourceFiles(root))[0]?.text, "a\nb");
  } finally {
    if (before === undefined) delete process.env.GIT_CEILING_DIRECTORIES;
    else process.env.GIT_CEILING_DIRECTORIES = before;
  }
});

test("a folder without sources, and no folder at all, are sentences", async () => {
  await assert.rejects(sourceFiles(await tree({ "README.md": "hello" })), /has no source files/);
  await assert.rejects(sourceFiles("/nowhere/at/all"), /is not a folder/);
});
