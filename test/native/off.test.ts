// With calibration off the engine is llama.cpp, bit by bit: compared with an unpatched build of the same flags where the user cache holds
// one (`node scripts/run.mjs native --reference` makes it, 5 minutes), else with node-llama-cpp's stock binary within rounding.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { cp, mkdtemp, rm } from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import { type TestContext, test } from "node:test";
import { promisify } from "node:util";
import { buildContext } from "../../scripts/context.js";
import { isBuilt, setUpReference } from "../../scripts/native/native.js";
import { DEFAULT_MODEL, modelPath } from "../../src/store/models.js";

const model = process.env.ACT_MODEL || modelPath(DEFAULT_MODEL);
const context = buildContext(process.cwd());
const run = promisify(execFile);

/** Logits of a prompt and four decode steps, with FlashAttention on and off. */
async function logits(packageFolder: string): Promise<Record<"on" | "off", Float32Array>> {
  const { stdout } = await run(process.execPath, ["test/fixtures/stock-logits.mjs", packageFolder, model], { maxBuffer: 1 << 26 });
  const encoded = JSON.parse(stdout) as Record<"on" | "off", string>;
  const decode = (text: string) => new Float32Array(new Uint8Array(Buffer.from(text, "base64")).buffer);
  return { on: decode(encoded.on), off: decode(encoded.off) };
}

test("ACT off: logits equal those of a build without our patches", async (t) => {
  const ours = await logits(context.nodeLlamaCpp);
  assert.ok(ours.on.length > 100_000 && ours.on.some((value) => value !== 0));
  if (await isBuilt(context, { gpu: false, flavour: "reference" })) {
    t.diagnostic("compared with the unpatched build of the same flags, bit by bit");
    const reference = await logits(await setUpReference(context));
    for (const mode of ["on", "off"] as const)
      assert.ok(Buffer.from(ours[mode].buffer).equals(Buffer.from(reference[mode].buffer)), `FlashAttention ${mode}: a bit differs`);
    return;
  }
  // The stock binary was compiled for other CPUs, so its sums run in another order; with Q4_1 weights that moves logits by a few tenths
  // (0.6 at most and 0.1 on average where this was measured). A head that is calibrated by mistake moves them by several.
  const stock = path.resolve(context.nodeLlamaCpp, "..", "@node-llama-cpp", `${process.platform}-${process.arch}`);
  if (!existsSync(stock)) return t.skip("neither an unpatched build nor node-llama-cpp's stock binary is installed");
  t.diagnostic("compared with the stock binary, within the noise of two builds: 0.3 on average");
  const reference = await logits(await withoutLocalBuilds(t));
  for (const mode of ["on", "off"] as const) {
    const sum = ours[mode].reduce((total, value, i) => total + Math.abs(value - (reference[mode][i] ?? Number.NaN)), 0);
    const mean = sum / ours[mode].length;
    t.diagnostic(`FlashAttention ${mode}: mean difference ${mean.toFixed(3)}`);
    assert.ok(mean < 0.3, `FlashAttention ${mode}: logits differ by ${mean} on average`);
  }
});

/** A view of node-llama-cpp that has no local build, so that it takes its stock binary. */
async function withoutLocalBuilds(t: TestContext): Promise<string> {
  const folder = await mkdtemp(path.join(context.scratch, "stock-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const leaveOut = [path.join(context.nodeLlamaCpp, "llama", "localBuilds"), path.join(context.nodeLlamaCpp, "llama", "gitRelease.bundle")];
  await cp(context.nodeLlamaCpp, path.join(folder, "node_modules", "node-llama-cpp"), {
    recursive: true,
    filter: (from) => !leaveOut.includes(from),
  });
  return path.join(folder, "node_modules", "node-llama-cpp");
}
