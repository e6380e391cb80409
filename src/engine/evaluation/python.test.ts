import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { test } from "node:test";
import { filledIn, parseProblems, programOf } from "../../core/evaluation/infilling.js";
import { needPython, runsWell } from "./python.js";

const found = (() => {
  try {
    execFileSync("python3", ["--version"]);
    return true;
  } catch {
    return false;
  }
})();
const skip = found ? false : "python3 is not on this machine";
const never = new AbortController().signal;
const run = (program: string, seconds?: number) => runsWell(program, never, seconds);

test("a program passes when it comes to its end, and not by leaving early", { skip }, async () => {
  assert.equal(await run("assert sum([1, 2]) == 3\nprint('much to say' * 1000)"), true);
  for (const program of ["assert False", "syntax error(", "import sys; sys.exit(0)", "import os; os._exit(0)", "raise SystemExit"])
    assert.equal(await run(program), false, program);
});

test("a program that never ends is stopped, with what it started", { skip }, async () => {
  const begin = performance.now();
  assert.equal(await run("while True: pass", 1), false);
  assert.ok(performance.now() - begin < 8000);
});

test("no memory without end, no network, no other programs, nothing written outside its folder", { skip }, async () => {
  assert.equal(await run("x = bytearray(3 << 30)"), false);
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  let connections = 0;
  server.on("connection", () => connections++);
  const { port } = server.address() as net.AddressInfo;
  assert.equal(await run(`import socket; socket.create_connection(("127.0.0.1", ${port}), 2)`), false);
  server.close();
  assert.equal(connections, 0);
  const outside = path.join(os.tmpdir(), `act-outside-${process.pid}`);
  for (const program of [
    `open(${JSON.stringify(outside)}, "w").write("x")`,
    `import os; os.system("touch ${outside}")`,
    `import subprocess; subprocess.run(["touch", ${JSON.stringify(outside)}])`,
    `import os; os.close(os.open(${JSON.stringify(outside)}, os.O_CREAT | os.O_WRONLY))`,
    `import os; os.mkdir(${JSON.stringify(outside)})`,
  ])
    assert.equal(await run(program), false, program);
  assert.equal(fs.existsSync(outside), false);
  assert.equal(await run(`open("inside.txt", "w").write("x"); assert open("inside.txt").read() == "x"`), true);
});

test("nothing is left behind, and the user's environment is not seen", { skip }, async () => {
  const folders = () => fs.readdirSync(os.tmpdir()).filter((name) => name.startsWith("act-program-")).length;
  const before = folders();
  process.env.ACT_TEST_SECRET = "secret";
  assert.equal(await run(`import os; assert "ACT_TEST_SECRET" not in os.environ`), true);
  delete process.env.ACT_TEST_SECRET;
  assert.equal(folders(), before);
});

test("a cancelled run ends at once", { skip }, async () => {
  const abort = new AbortController();
  const begin = performance.now();
  const running = runsWell("while True: pass", abort.signal);
  setTimeout(() => abort.abort(), 300);
  await assert.rejects(running, /cancelled/);
  assert.ok(performance.now() - begin < 5000);
});

test("without Python there is a sentence", async () => {
  const before = process.env.PATH;
  process.env.PATH = "";
  try {
    await assert.rejects(
      needPython("humaneval_infilling"),
      /humaneval_infilling runs the programs .* python3, which is not on this machine/,
    );
  } finally {
    process.env.PATH = before;
  }
});

const data = path.join(process.env.ACT_DATA ?? path.resolve("../shared/data"), "humaneval_infilling/test.jsonl");
const without = skip || (fs.existsSync(data) ? false : "the problems are not here (ACT_DATA/humaneval_infilling)");

test("the author's own lines pass, a wrong one does not", { skip: without }, async () => {
  const text = fs.readFileSync(data, "utf8");
  const problems = parseProblems(text, data);
  const middles = text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line).middle as string);
  const chosen = [0, 120, 240, problems.length - 1];
  for (const i of chosen) {
    const problem = problems[i];
    if (!problem) continue;
    assert.equal(await run(programOf(problem, middles[i] ?? "")), true, problem.id);
    assert.equal(await run(programOf(problem, "    return None\n")), false, problem.id);
  }
});

test("one line is filled in where a line is left out, a span whole", () => {
  assert.equal(filledIn("single", "\n  \n    x = 1\n    y = 2"), "\n  \n    x = 1\n");
  assert.equal(filledIn("single", ""), "\n");
  assert.equal(filledIn("span", "x = 1\ny"), "x = 1\ny");
});

test("a problem that is none names file and line", () => {
  assert.throws(() => parseProblems("", "p.jsonl"), /p\.jsonl is empty/);
  assert.throws(() => parseProblems('{"id":"a"}', "p.jsonl"), /p\.jsonl, line 1: kind is missing/);
  const bad = { id: "a", kind: "span", prefix: "", suffix: "", test: "", entry_point: "f(); import os" };
  assert.throws(() => parseProblems(JSON.stringify(bad), "p.jsonl"), /entry_point must be a name/);
});
