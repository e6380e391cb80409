// The product of Q4_1 weights with many columns equals llama.cpp's own, one pair at a time, in every bit, and touches nothing else.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import fs from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import { test } from "node:test";
import { buildContext } from "../../scripts/context.js";
import { exec, isOnPath } from "../../scripts/lib/exec.js";
import { patchedSources } from "../../scripts/native/tree.js";

const context = buildContext(process.cwd());
const missing =
  process.platform === "linux" && process.arch === "x64" && (await isOnPath("gcc")) ? false : "needs gcc on Linux on an x64 CPU";
const cpu = missing ? "" : await fs.readFile("/proc/cpuinfo", "utf8");
const has = (...flags: string[]) => flags.every((flag) => new RegExp(`\\b${flag}\\b`).test(cpu));
const AVX2 = ["avx2", "fma", "f16c"];
/** Every form of the product that this compiler makes, and what a CPU must have to run it. */
const FORMS = [
  { march: "native", needs: AVX2 },
  { march: "haswell", needs: AVX2 },
  { march: "alderlake", needs: [...AVX2, "avx_vnni"] },
];

/** Builds test/native/mul-mat/run.c for a kind of CPU. @returns the program */
async function build(march: string, flags: string[]): Promise<string> {
  const ggml = path.join(await patchedSources(context), "ggml");
  const source = path.join(ggml, "src");
  const libraries = path.join(context.nodeLlamaCpp, "llama", "localBuilds", `linux-${process.arch}`, "Release");
  const program = path.join(context.scratch, "mul-mat", `${march}-${flags.length}`);
  await fs.mkdir(path.dirname(program), { recursive: true });
  const files = ["act-mul-mat.c", "quants.c", "arch/x86/quants.c"].map((file) => path.join(source, "ggml-cpu", file));
  const includes = [path.join(ggml, "include"), source, path.join(source, "ggml-cpu")].map((folder) => `-I${folder}`);
  const linked = [`-L${libraries}`, "-lggml-base", `-Wl,-rpath,${libraries}`, "-lm"];
  const main = path.join(context.root, "test", "native", "mul-mat", "run.c");
  const args = ["-std=gnu11", "-O3", "-DNDEBUG", `-march=${march}`, "-w", ...flags, ...includes, main, ...files, "-o", program, ...linked];
  await exec("gcc", args, { failure: `Compiling the product for ${march}` });
  return program;
}

const SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"];

for (const { march, needs } of FORMS)
  for (const flags of [[], SANITIZERS])
    test(`${march}${flags.length > 0 ? ", with sanitizers" : ""}: every product in every bit`, {
      skip: missing || (has(...needs) ? false : `needs a CPU with ${needs.join(", ")}`),
    }, async (t) => {
      const { status, stdout, stderr } = spawnSync(await build(march, flags), { encoding: "utf8", timeout: 120_000 });
      assert.equal(status, 0, stderr);
      const { compared, ...wrong } = JSON.parse(stdout) as { compared: number };
      assert.deepEqual(wrong, { different: 0, stray: 0, declined: [0, 2] });
      assert.ok(compared > 10_000, `${compared} products`);
      t.diagnostic(`${compared} products`);
    });

test("a CPU without AVX2 is left to llama.cpp's own product", { skip: missing }, async () => {
  const { stdout } = spawnSync(await build("x86-64", []), { encoding: "utf8", timeout: 120_000 });
  const { compared, stray } = JSON.parse(stdout) as { compared: number; stray: number };
  assert.deepEqual({ compared, stray }, { compared: 0, stray: 0 });
});
