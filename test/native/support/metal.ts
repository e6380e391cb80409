// Metal without a Mac: what compilers on Linux can say about our files in ggml-metal. Apple's compiler has not seen them.
import fs from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import type { BuildContext } from "../../../scripts/context.js";
import { exec } from "../../../scripts/lib/exec.js";
import { patchedSources } from "../../../scripts/native/tree.js";
import { includes } from "./on-cpu-build.js";

/**
 * Compiles the files of ggml-metal that are plain C++: ours, with the kernels as a string in it as in a real build, and those with call sites.
 * @returns the library
 * @throws ActError with the compiler's words
 */
export async function buildHost(context: BuildContext): Promise<Buffer> {
  const sources = await patchedSources(context);
  const out = path.join(context.scratch, "metal", "host");
  const project = path.join(context.root, "test", "native", "metal");
  await exec("cmake", ["-S", project, "-B", out, `-DGGML=${path.join(sources, "ggml")}`], {
    failure: "Configuring the host of the Metal kernels",
  });
  await exec("cmake", ["--build", out], { failure: "Compiling the host of the Metal kernels" });
  return await fs.readFile(path.join(out, "libggml-metal.a"));
}

/** Why `compileKernels` cannot run here, or false. */
export async function noClang(): Promise<string | false> {
  if (process.platform !== "linux") return `clang's address spaces are used on Linux only, not on ${process.platform}`;
  return await exec("clang++", ["--version"]).then(
    () => false as const,
    () => "no clang++ is installed",
  );
}

/**
 * Compiles the kernels as C++ whose address spaces are different ones: a pointer that lacks its space fails, as it does in Metal.
 * @param standard what Metal 3 (c++14) and Metal 4 (c++17) are made from
 * @throws ActError with the compiler's words
 */
export async function compileKernels(context: BuildContext, standard: "c++14" | "c++17"): Promise<void> {
  const sources = await patchedSources(context);
  const out = path.join(context.scratch, "metal");
  await fs.mkdir(out, { recursive: true });
  const flags = [`-std=${standard}`, "-Werror", "-Wno-unknown-attributes", "-DADDRESS_SPACES", ...includes(context, sources, "metal")];
  const file = path.join(context.root, "test", "native", "metal", "kernels.cpp");
  await exec("clang++", [...flags, "-c", file, "-o", path.join(out, `kernels-${standard}.o`)], {
    failure: `Compiling act.metal as ${standard} with address spaces`,
  });
}
