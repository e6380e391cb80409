// CUDA without a GPU: NVIDIA's compiler from PyPI, to see that our kernels compile, and ggml's sources for it.
import { existsSync } from "node:fs";
import fs from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import type { BuildContext } from "../../../scripts/context.js";
import { findPython } from "../../../scripts/fetch/model.js";
import { exec } from "../../../scripts/lib/exec.js";
import { Progress } from "../../../scripts/lib/progress.js";
import { patchedSources } from "../../../scripts/native/tree.js";
import { ActError } from "../../../src/protocol/errors.js";
import { withLock } from "../../../src/store/lock.mjs";
import { includes } from "./on-cpu-build.js";

/** Turing, Ampere, Hopper, Blackwell. */
export const ARCHITECTURES = ["75", "80", "90", "120"] as const;

/** A compiler in five wheels, 130 MB; pinned so that everybody compiles with the same. */
const VERSION = "13.5.37";
const WHEELS: Record<string, string> = {
  [`nvidia-cuda-nvcc==${VERSION}`]: "f5c4f7ead5d964fb4af42bbf1e6d3ec3c1e6e9d83b53749f691d387e7fcaa3a7",
  [`nvidia-nvvm==${VERSION}`]: "c41bfa362e407405163f103c2229f0765f8cc2ed7d148b754dc77f228bf7e070",
  [`nvidia-cuda-crt==${VERSION}`]: "e898b7f73d3035fa89915a3f7bf3b54a73e90249746111aed295822c4729bb29",
  [`nvidia-cuda-runtime==${VERSION}`]: "df2b79a8852f10d1fef8c848489c49eebb5754051bf870202a862831412b179d",
  "nvidia-cuda-cccl==13.3.5.0.6": "d5230098fa2df5021e1a00c0c4eee41797671a91119d31e892463e5ccf3ee326",
};

/** Path of nvcc, downloaded into the user cache when it is not there yet. @throws ActError where it cannot be had */
export async function ensureNvcc({ cache }: BuildContext): Promise<string> {
  if (process.platform !== "linux" || process.arch !== "x64")
    throw new ActError("unsupported", `NVIDIA's compiler is pinned for Linux on x64, not for ${process.platform} on ${process.arch}.`);
  const folder = path.join(cache, "tools", `nvcc-${VERSION}`);
  const nvcc = path.join(folder, "nvidia", "cu13", "bin", "nvcc");
  if (existsSync(nvcc)) return nvcc;
  await withLock(`${folder}.lock`, async () => {
    if (!existsSync(nvcc)) await download(folder);
  });
  return nvcc;
}

async function download(folder: string): Promise<void> {
  const progress = new Progress("Downloading NVIDIA's compiler by pip (130 MB)");
  const draft = `${folder}.${process.pid}.tmp`;
  try {
    const python = await findPython();
    if (!python) throw new ActError("download", "NVIDIA's compiler comes by pip, and no Python with pip was found.");
    await fs.mkdir(draft, { recursive: true });
    const list = path.join(draft, "requirements.txt");
    await fs.writeFile(
      list,
      Object.entries(WHEELS)
        .map(([wheel, sha256]) => `${wheel} --hash=sha256:${sha256}\n`)
        .join(""),
    );
    const pip = ["-m", "pip", "download", "--no-deps", "--require-hashes", "--disable-pip-version-check", "--dest", draft, "-r", list];
    await exec(python, pip, { onLine: (line) => progress.update(line.trim()), failure: "Getting NVIDIA's compiler by pip" });
    for (const wheel of (await fs.readdir(draft)).filter((name) => name.endsWith(".whl"))) {
      await exec(python, ["-m", "zipfile", "-e", path.join(draft, wheel), draft], { failure: `Unpacking ${wheel}` });
      await fs.rm(path.join(draft, wheel));
    }
    // zipfile keeps no modes
    const cuda = path.join(draft, "nvidia", "cu13");
    for (const bin of ["bin", "nvvm/bin"])
      for (const file of await fs.readdir(path.join(cuda, bin), { withFileTypes: true }))
        if (file.isFile()) await fs.chmod(path.join(cuda, bin, file.name), 0o755);
    await fs.rename(draft, folder);
    progress.done();
  } catch (error) {
    await fs.rm(draft, { recursive: true, force: true });
    progress.done("failed");
    throw error;
  }
}

/** Compiles the op's CUDA file for one architecture. @throws ActError with the compiler's words */
export async function compileCuda(context: BuildContext, architecture: string): Promise<void> {
  const [nvcc, sources] = [await ensureNvcc(context), await patchedSources(context)];
  const out = path.join(context.scratch, "cuda");
  await fs.mkdir(out, { recursive: true });
  const file = path.join(sources, "ggml", "src", "ggml-cuda", "act.cu");
  const flags = ["-std=c++17", `-arch=sm_${architecture}`, "-Werror", "all-warnings", ...includes(context, sources, "cuda")];
  await exec(nvcc, [...flags, "-c", file, "-o", path.join(out, `act-sm_${architecture}.o`)], {
    failure: `Compiling act.cu for sm_${architecture}`,
  });
}
