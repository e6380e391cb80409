// GPU kernels compiled for a CPU: what they compute can be tested without their device.
import fs from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import type { BuildContext } from "../../../scripts/context.js";
import { exec } from "../../../scripts/lib/exec.js";
import { patchedSources } from "../../../scripts/native/tree.js";

/** What belongs to the program beside test/native/KIND/run-on-cpu.cpp: files in ggml/src/ggml-KIND, and flags. */
const HOST = {
  cuda: { files: [], flags: [] },
  metal: { files: ["ggml-metal-act.cpp"], flags: ["-DGGML_METAL_ACT_SCRATCH=65536"] },
};
export type Kernels = keyof typeof HOST;

/** The include folders of our files for a kind of GPU; test/native/KIND stands in for what its SDK has. */
export function includes(context: BuildContext, sources: string, kind: Kernels): string[] {
  const ggml = path.join(sources, "ggml");
  const test = path.join(context.root, "test", "native");
  return [
    path.join(test, kind),
    path.join(test, "on-cpu"),
    path.join(ggml, "include"),
    path.join(ggml, "src"),
    path.join(ggml, "src", `ggml-${kind}`),
    path.join(ggml, "src", `ggml-${kind}`, "kernels"),
  ].map((folder) => `-I${folder}`);
}

/** Builds test/native/KIND/run-on-cpu, which runs the kernels on the CPU. @returns the program */
export async function buildForCpu(context: BuildContext, kind: Kernels): Promise<string> {
  const sources = await patchedSources(context);
  const libraries = path.join(context.nodeLlamaCpp, "llama", "localBuilds", `linux-${process.arch}`, "Release");
  const program = path.join(context.scratch, kind, "run-on-cpu");
  await fs.mkdir(path.dirname(program), { recursive: true });
  const flags = ["-std=c++17", "-O2", "-Wall", "-Wno-unknown-pragmas", "-Wno-attributes", "-Wno-unused-function"];
  await exec(
    process.env.CXX ?? "c++",
    [
      ...flags,
      ...HOST[kind].flags,
      ...includes(context, sources, kind),
      path.join(context.root, "test", "native", kind, "run-on-cpu.cpp"),
      ...HOST[kind].files.map((file) => path.join(sources, "ggml", "src", `ggml-${kind}`, file)),
      "-o",
      program,
      `-L${libraries}`,
      "-lggml-base",
      `-Wl,-rpath,${libraries}`,
    ],
    { failure: `Compiling the ${kind} kernels for the CPU` },
  );
  return program;
}
