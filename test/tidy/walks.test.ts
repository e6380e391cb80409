// The walks of ARCHITECTURE.md: every file exists, and each calls those below it.
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";

interface Step {
  file: string;
  /** What both sides of a process or language boundary call it; null for an import. */
  name: string | null;
  parents: string[];
}

/** Steps of a walk, each with the files above it, nearest first. */
function steps(block: string): Step[] {
  const open: { indent: number; file: string }[] = [];
  return block
    .split("\n")
    .filter((line) => line.trim() !== "")
    .map((line) => {
      const [, blanks = "", name, file = ""] = /^( *)(?:⇒ (\S+) +)?(\S+)/.exec(line) ?? [];
      while ((open.at(-1)?.indent ?? -1) >= blanks.length) open.pop();
      const parents = open.map((one) => one.file).reverse();
      open.push({ indent: blanks.length, file });
      return { file, name: name ?? null, parents };
    });
}

const text = fs.readFileSync("ARCHITECTURE.md", "utf8");
const section = /## Four walks\n([\s\S]*?)\n## /.exec(text)?.[1] ?? "";
const walks = [...section.matchAll(/\*\*(.+)\*\*\n\n```\n([\s\S]*?)```/g)].map(([, title = "", block = ""]) => ({
  title,
  steps: steps(block),
}));

/** Files that a file imports, with .ts endings. */
function importsOf(file: string): string[] {
  return [...fs.readFileSync(file, "utf8").matchAll(/from\s+"(\.[^"]+)"/g)].map((match) =>
    path.posix.join(path.posix.dirname(file), match[1] ?? "").replace(/\.js$/, ".ts"),
  );
}

test("there are four walks, none of them short", () => {
  assert.equal(walks.length, 4);
  for (const walk of walks) assert.ok(walk.steps.length >= 8, walk.title);
});

for (const walk of walks)
  test(`walk: ${walk.title}`, () => {
    const wrong: string[] = [];
    for (const { file, name, parents } of walk.steps) {
      if (!fs.existsSync(file)) wrong.push(`${file} does not exist`);
      else if (name !== null) {
        const says = (one: string) => fs.readFileSync(one, "utf8").includes(name);
        if (!says(file)) wrong.push(`${file} does not name ${name}`);
        if (!parents.some(says)) wrong.push(`none of ${parents.join(", ")} names ${name}, which leads to ${file}`);
      } else if (parents[0] && !importsOf(parents[0]).includes(file)) wrong.push(`${parents[0]} does not import ${file}`);
    }
    assert.deepEqual(wrong, []);
  });
