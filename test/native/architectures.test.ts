// Calibration in every architecture of llama.cpp that has a random model in llama.cpp's own tests: what the op does to each head is compared with
// the mathematics, from the queries, keys, values and masks of the very graph. A few architectures here; `ACT_ARCHITECTURES=all` takes all of them
// (10 minutes), `ACT_ARCHITECTURES=gemma3,lfm2` some. With an unpatched build in the user cache, logits without heads are compared bit by bit.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import fs from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import { before, test } from "node:test";
import { promisify } from "node:util";
import { buildContext } from "../../scripts/context.js";
import { exec, isOnPath } from "../../scripts/lib/exec.js";
import { ensureNative, isBuilt } from "../../scripts/native/native.js";
import { patchedSources } from "../../scripts/native/tree.js";

const context = buildContext(process.cwd());
const missing = process.platform === "linux" && (await isOnPath("g++")) ? false : "needs g++ on Linux";
const run = promisify(execFile);

/** One of each kind: plain, sliding windows, learned sinks, latent attention, two hybrids, capped scores, ALiBi, no attention. */
const FEW = ["llama", "gemma3", "gpt-oss", "deepseek2", "lfm2", "falcon-h1", "gemma2", "bloom", "mamba"];
const REFUSED = new Set(["mamba"]);

interface Line {
  arch: string;
  moe: boolean;
  cache: string;
  digest?: string;
  status?: "calibrated" | "refused" | "not loadable" | "wrong" | "failed";
  why?: string;
  layers?: number[];
  difference?: number;
}

/** Compiles the program against a build. */
async function compile(flavour: "native" | "reference"): Promise<string> {
  const sources = await patchedSources(context);
  const { folder, key } = await ensureNative(context, { gpu: false, flavour });
  const own = path.resolve("test", "native", "architectures");
  const out = path.join(context.scratch, "architectures");
  const program = path.join(out, `${flavour}-${key}`);
  await fs.mkdir(out, { recursive: true });
  // node-llama-cpp changes how a model without a file is loaded, so that llama.cpp's test stops with "too many tensors created": the program
  // brings upstream's loader along, which the linker prefers to the library's.
  const loader = path.join(out, "llama-model-loader.cpp");
  await fs.writeFile(loader, await exec("git", ["show", "HEAD~1:src/llama-model-loader.cpp"], { cwd: sources }));
  const libraries = (await fs.readdir(folder))
    .filter((name) => /^lib(llama|ggml).*\.so$/.test(name))
    .map((name) => path.join(folder, name));
  const includes = ["tests", "include", "ggml/include", "ggml/src", "src", "common", "vendor"].map(
    (name) => `-I${path.join(sources, name)}`,
  );
  const flags = [
    "-std=c++17",
    "-O2",
    "-march=native",
    "-w",
    "-rdynamic",
    ...(flavour === "reference" ? ["-DARCHITECTURES_REFERENCE"] : []),
  ];
  const link = [`-Wl,-rpath,${folder}`, "-Wl,--allow-shlib-undefined"];
  await exec("g++", [...flags, `-I${own}`, ...includes, path.join(own, "main.cpp"), loader, "-o", program, ...libraries, ...link], {
    failure: "Compiling the architectures' check",
  });
  return program;
}

/** The lines of one architecture. A crash rejects, with what was said last. */
async function lines(program: string, name: string): Promise<Line[]> {
  const { stdout } = await run(program, [name], { maxBuffer: 1 << 24, timeout: 300_000, env: { ...process.env, OMP_NUM_THREADS: "1" } });
  return stdout
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Line);
}

/** What the table in the README says of an architecture. */
function summary(found: readonly Line[]): string {
  const calibrated = found.filter(({ status }) => status === "calibrated");
  const other = found.find(({ status }) => status !== "calibrated");
  if (calibrated.length === 0) return `${other?.status}: ${other?.why}`;
  const worst = Math.max(...calibrated.map(({ difference }) => difference ?? 0));
  return `calibrated in ${calibrated.length} of ${found.length} caches, difference at most ${worst.toExponential(1)}`;
}

let ours: string;
let reference: string | null = null;
let names = FEW;
before(async () => {
  if (missing) return;
  ours = await compile("native");
  if (await isBuilt(context, { gpu: false, flavour: "reference" })) reference = await compile("reference");
  const wanted = process.env.ACT_ARCHITECTURES;
  if (wanted) names = wanted === "all" ? (await run(ours, ["--list"])).stdout.split("\n").filter(Boolean) : wanted.split(",");
});

test("every architecture is calibrated as the mathematics says, or refused", { skip: missing, timeout: 3_600_000 }, async (t) => {
  for (const name of names) {
    const found = await lines(ours, name);
    t.diagnostic(`${name}: ${summary(found)}`);
    for (const { cache, status, why } of found) assert.ok(status !== "wrong" && status !== "failed", `${name}, ${cache}: ${why}`);
    if (names === FEW)
      assert.equal(found.find(({ cache }) => cache === "f32" || cache === "")?.status, REFUSED.has(name) ? "refused" : "calibrated", name);
    if (!reference) continue;
    const digests = (list: readonly Line[]) => list.map(({ moe, cache, digest }) => ({ moe, cache, digest }));
    assert.deepEqual(digests(found), digests(await lines(reference, name)), `${name} without heads differs from the unpatched build`);
  }
  if (!reference) t.diagnostic("no unpatched build in the user cache: bits were not compared (node scripts/run.mjs native --reference)");
});
