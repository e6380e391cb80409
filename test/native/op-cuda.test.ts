// The op's CUDA kernels without a GPU: they compile for every architecture, and run on the CPU (test/native/cuda) they compute what float64
// does. Nothing here says that they run on a GPU.
import process from "node:process";
import { test } from "node:test";
import { buildContext } from "../../scripts/context.js";
import { testOnCpu } from "./on-cpu.js";
import { ARCHITECTURES, compileCuda, ensureNvcc } from "./support/cuda.js";

const context = buildContext(process.cwd());
const noCompiler = await ensureNvcc(context).then(
  () => false as const,
  (error: Error) => error.message,
);

for (const architecture of ARCHITECTURES)
  test(`compiles for sm_${architecture}`, { skip: noCompiler }, () => compileCuda(context, architecture));

testOnCpu("cuda");
