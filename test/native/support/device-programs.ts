// The programs of test/device, which users build with CMake, compiled against the engine that is installed here.
import fs from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import type { BuildContext } from "../../../scripts/context.js";
import { exec } from "../../../scripts/lib/exec.js";
import { patchedSources } from "../../../scripts/native/tree.js";

const SOURCES = { "test-act": ["test-act.cpp", "act-world.cpp"], "check-models": ["check-models.cpp", "random-model.cpp"] };

/** @returns the program. @throws ActError with the compiler's words */
export async function buildDeviceProgram(context: BuildContext, name: keyof typeof SOURCES, gpu: false | "vulkan"): Promise<string> {
  const sources = await patchedSources(context);
  const folder = `linux-${process.arch}${gpu ? `-${gpu}` : ""}`;
  const libraries = path.join(context.nodeLlamaCpp, "llama", "localBuilds", folder, "Release");
  const files = await fs.readdir(libraries);
  const library = (stem: string) => `-l:${files.find((file) => file.startsWith(`lib${stem}.`) && file.endsWith(".so"))}`;
  const device = path.join(context.root, "test", "device");
  const program = path.join(context.scratch, "device", `${name}-${folder}`);
  await fs.mkdir(path.dirname(program), { recursive: true });
  await exec(
    process.env.CXX ?? "c++",
    [
      ...["-std=c++17", "-O2", "-Wall", "-Wextra"],
      ...["include", "src", "ggml/include", "ggml/src"].map((place) => `-I${path.join(sources, place)}`),
      ...SOURCES[name].map((file) => path.join(device, file)),
      ...["-o", program, `-L${libraries}`, library("llama"), library("ggml"), "-lggml-base", `-Wl,-rpath,${libraries}`],
    ],
    { failure: `Compiling test/device/${name}` },
  );
  return program;
}
