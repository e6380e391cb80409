// The op with ggml alone, built with AddressSanitizer and UndefinedBehaviorSanitizer, as an addon that plain Node loads.
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import fs from "node:fs/promises";
import { createRequire } from "node:module";
import os from "node:os";
import path from "node:path";
import process from "node:process";
import type { BuildContext } from "../../../scripts/context.js";
import { exec } from "../../../scripts/lib/exec.js";
import { copyInto } from "../../../scripts/lib/files.js";
import { Progress } from "../../../scripts/lib/progress.js";
import { compilerCache } from "../../../scripts/native/compile.js";
import { keyParts } from "../../../scripts/native/key.js";
import { readPatchList } from "../../../scripts/native/patches.js";
import { prepareTree, withBuildLock } from "../../../scripts/native/tree.js";

const ADDON = "act-op.node";

export interface SanitizedOp {
  addon: string;
  /** Environment for the Node that loads it: the sanitizers must be there before everything else. */
  env: NodeJS.ProcessEnv;
}

/** Linux with gcc. Built once per patch set, about a minute on 2 cores. */
export async function ensureSanitizedOp(context: BuildContext): Promise<SanitizedOp> {
  const list = await readPatchList(path.join(context.root, "native-patches"));
  const check = path.join(context.root, "native-patches", "check");
  const parts = {
    ...(await keyParts(context, { gpu: false, flavour: "native" }, list)),
    check: await Promise.all((await fs.readdir(check)).sort().map((name) => fs.readFile(path.join(check, name), "utf8"))),
  };
  const key = createHash("sha256").update(JSON.stringify(parts)).digest("hex").slice(0, 16);
  const folder = path.join(context.cache, "native", `${process.platform}-${process.arch}-sanitized-${key}`);
  if (!existsSync(path.join(folder, ADDON))) await withBuildLock(context, () => compile(context, check, folder, list));
  const library = async (name: string) => (await exec("gcc", [`-print-file-name=${name}`])).trim();
  return {
    addon: path.join(folder, ADDON),
    env: {
      LD_PRELOAD: [await library("libasan.so"), await library("libubsan.so")].join(" "),
      // Node itself leaves memory to the end of the process.
      ASAN_OPTIONS: "detect_leaks=0:abort_on_error=0:exitcode=99",
      UBSAN_OPTIONS: "print_stacktrace=1:halt_on_error=1",
    },
  };
}

async function compile(
  context: BuildContext,
  check: string,
  folder: string,
  list: Awaited<ReturnType<typeof readPatchList>>,
): Promise<void> {
  const { tree } = await prepareTree(context, "patched", list);
  const progress = new Progress("Building the op with sanitizers");
  const work = path.join(context.scratch, "native");
  const out = path.join(work, "sanitized");
  const env = await compilerCache(work);
  const require = createRequire(path.join(context.nodeLlamaCpp, "package.json"));
  const includes = [path.dirname(require.resolve("node-addon-api")), require("node-api-headers").include_dir as string];
  const options = {
    CMAKE_BUILD_TYPE: "Release",
    ACT_GGML: path.join(tree, "llama", "llama.cpp", "ggml"),
    ACT_ADDON: path.join(tree, "llama", "addon"),
    ACT_NAPI_INCLUDES: includes.join(";"),
    GGML_OPENMP: "OFF",
    GGML_LLAMAFILE: "OFF",
    GGML_CCACHE: "OFF",
  };
  const defines = Object.entries(options).map(([name, value]) => `-D${name}=${value}`);
  await exec("cmake", ["-S", check, "-B", out, ...defines], { env, failure: "Configuring the op with sanitizers" });
  await exec("cmake", ["--build", out, "--parallel", String(os.cpus().length)], {
    env,
    failure: "Building the op with sanitizers",
    onLine: (line) => progress.update(line.slice(0, 60)),
  });
  await fs.mkdir(path.join(out, "result"), { recursive: true });
  await fs.copyFile(path.join(out, ADDON), path.join(out, "result", ADDON));
  await copyInto(path.join(out, "result"), folder, {});
  progress.done();
}
