// The golden vectors and the shapes once more, with ggml and the op built by AddressSanitizer and UndefinedBehaviorSanitizer.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import path from "node:path";
import { before, test } from "node:test";
import { buildContext } from "../../scripts/context.js";
import { bundleTests } from "../../scripts/lib/bundle.js";
import { isOnPath } from "../../scripts/lib/exec.js";
import { ensureSanitizedOp, type SanitizedOp } from "./support/sanitized.js";

const context = buildContext(path.resolve("."));
const missing = process.platform === "linux" && (await isOnPath("gcc")) ? false : "needs gcc on Linux";

let op: SanitizedOp;
before(async () => {
  if (!missing) op = await ensureSanitizedOp(context);
});

/** Runs Node with the sanitizers in front. */
function run(args: string[]): Promise<{ code: number | null; output: string }> {
  const env: NodeJS.ProcessEnv = { ...process.env, ...op.env, ACT_OP_ADDON: op.addon };
  // A child of a test run reports to its parent in a binary form unless it is told that it is alone.
  delete env.NODE_TEST_CONTEXT;
  const child = spawn(process.execPath, args, { env, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (data: Buffer) => {
      output += data.toString("utf8");
    });
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, output }));
  });
}

test("the sanitizers are at work: reading beyond an array ends the process", { skip: missing }, async () => {
  const { code, output } = await run(["-e", "require(process.env.ACT_OP_ADDON).overrun()"]);
  assert.match(output, /AddressSanitizer: heap-buffer-overflow/);
  assert.equal(code, 99);
});

for (const name of ["vectors", "op"])
  test(`${name}.test.ts runs clean`, { skip: missing, timeout: 900_000 }, async (t) => {
    const bundle = (await bundleTests(context, [`test/native/${name}.test.ts`])).get(`test/native/${name}.test.ts`) ?? "";
    const { code, output } = await run(["--test", "--test-reporter=tap", bundle]);
    const report = /(ERROR: AddressSanitizer|runtime error:)[\s\S]{0,3000}/.exec(output)?.[0];
    assert.equal(report, undefined);
    assert.equal(code, 0, output.slice(-3000));
    const passed = Number(/^# pass (\d+)$/m.exec(output)?.[1]);
    assert.ok(passed > 30, `${passed} tests passed`);
    t.diagnostic(`${passed} tests`);
  });
