// The barrier between ops holds every thread until all have come, awake or asleep, on fewer cores than threads as well.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import fs from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import { test } from "node:test";
import { buildContext } from "../../scripts/context.js";
import { exec, isOnPath } from "../../scripts/lib/exec.js";

const context = buildContext(process.cwd());
const missing = process.platform === "linux" && (await isOnPath("gcc")) ? false : "needs gcc on Linux";

for (const [name, flags] of [
  ["as it is", []],
  ["with ThreadSanitizer", ["-fsanitize=thread"]],
] as const)
  test(`nobody passes before all have come, ${name}`, { skip: missing }, async () => {
    const source = path.join(context.root, "native-patches", "src", "llama.cpp", "ggml", "src", "ggml-cpu");
    const program = path.join(context.scratch, "barrier", `run-${flags.length}`);
    await fs.mkdir(path.dirname(program), { recursive: true });
    const files = [path.join(context.root, "test", "native", "barrier", "run.c"), path.join(source, "act-barrier.c")];
    await exec("gcc", ["-std=gnu11", "-O2", "-Wall", "-Werror", "-pthread", ...flags, `-I${source}`, ...files, "-o", program], {
      failure: "Compiling the barrier",
    });
    const { status, stdout, stderr } = spawnSync(program, { encoding: "utf8", timeout: 120_000 });
    assert.equal(status, 0, stderr);
    assert.deepEqual(JSON.parse(stdout), { meetings: 28_000, missing: 0, arrived: 0 });
  });
