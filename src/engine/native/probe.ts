import { fork } from "node:child_process";
import { readFile, stat } from "node:fs/promises";
import path from "node:path";
import * as v from "valibot";
import type { BackendName } from "../../protocol/engine.js";
import { ActError, toActError } from "../../protocol/errors.js";
import { writeFileAtomic } from "../../store/atomic.js";
import { cacheFolder } from "../../store/cache-folder.js";
import { checkDevices } from "./device-check.js";
import { Backend, type InstalledBackend } from "./native.js";

/**
 * What a backend's binary holds, asked in a process of its own: two llama.cpp binaries in one process would share libraries of equal name,
 * and a driver that crashes takes only the probe with it.
 */
const ProbeSchema = v.object({
  patchSet: v.nullable(v.string()),
  llamaCpp: v.string(),
  devices: v.array(v.string()),
  /** Why calibration must be computed on the CPU beside the devices; null where it need not. */
  onCpu: v.nullable(v.string()),
});
export type Probe = v.InferOutput<typeof ProbeSchema>;

/** Backends whose kernels for calibration were never run on real hardware: they are checked on every start, and this variable keeps them off. */
export const CHECKED: Partial<Record<BackendName, string>> = {
  metal: "GGML_METAL_DISABLE_ACT",
  cuda: "GGML_CUDA_DISABLE_ACT",
  vulkan: "GGML_VK_DISABLE_ACT",
};

const PROBE_ARGUMENT = "--probe";
const PROBE_MS = 30_000;

/** @throws ActError `unsupported` where the binary cannot be loaded. */
export async function probeBackend(backend: InstalledBackend): Promise<Probe> {
  // Devices come and go with drivers; what a CPU binary holds changes with its file alone.
  if (backend.name !== "cpu") return await probeDevice(backend.name);
  const { size, mtimeMs } = await stat(backend.file).catch(() => ({ size: 0, mtimeMs: 0 }));
  const key = `${backend.file} ${size} ${mtimeMs}`;
  const record = path.join(cacheFolder(), "binaries.json");
  const known = await readFile(record, "utf8").then(
    (text) => v.safeParse(v.object({ key: v.string(), probe: ProbeSchema }), safeJson(text)),
    () => null,
  );
  if (known?.success && known.output.key === key) return known.output.probe;
  const probe = await probeNow(backend.name);
  // Only a shortcut: where it cannot be written, the binary is asked again next time.
  await writeFileAtomic(record, JSON.stringify({ key, probe })).catch(() => {});
  return probe;
}

async function probeDevice(name: BackendName): Promise<Probe> {
  try {
    return await probeNow(name);
  } catch (error) {
    const off = CHECKED[name];
    if (off === undefined) throw error;
    // Perhaps it was the check that ended the process: the device may work without our kernels.
    return {
      ...(await probeNow(name, { [off]: "1" })),
      onCpu: `the process that checked its kernels failed (${toActError(error).message})`,
    };
  }
}

function safeJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function probeNow(name: BackendName, env: NodeJS.ProcessEnv = {}): Promise<Probe> {
  return new Promise((resolve, reject) => {
    const child = fork(process.argv[1] ?? "", [PROBE_ARGUMENT, name], {
      execArgv: [],
      stdio: ["ignore", "ignore", "ignore", "ipc"],
      env: { ...process.env, ...env },
    });
    const fail = (sentence: string) => reject(new ActError("unsupported", sentence));
    const timer = setTimeout(() => child.kill("SIGKILL"), PROBE_MS);
    child.on("message", (message) => {
      const { error, probe } = message as { error?: string; probe?: Probe };
      if (probe) resolve(probe);
      else fail(error ?? `The backend "${name}" cannot be used, and does not say why.`);
    });
    child.on("error", (error) => fail(`The backend "${name}" could not be tried: ${error.message}.`));
    child.on("exit", (code, signal) => {
      clearTimeout(timer);
      // After an answer this changes nothing.
      fail(`The backend "${name}" cannot be used: its binary or driver ended the process that tried it (${signal ?? `code ${code}`}).`);
    });
  });
}

/** The other side: when this process was started as a probe, answers and ends. */
export async function answerProbe(): Promise<void> {
  const at = process.argv.indexOf(PROBE_ARGUMENT);
  if (at < 0) return;
  const name = (process.argv[at + 1] ?? "cpu") as BackendName;
  const answer = await Backend.open(name, () => {}).then(
    ({ patchSet, llamaCpp, devices, bindings }) => {
      const off = CHECKED[name];
      const checked = off !== undefined && patchSet !== null;
      const onCpu = !checked ? null : process.env[off] === undefined ? checkDevices(bindings) : `${off} is set`;
      return { probe: { patchSet, llamaCpp, devices, onCpu } };
    },
    (error: unknown) => ({ error: toActError(error).message }),
  );
  await new Promise<void>((resolve) => process.send?.(answer, () => resolve()));
  process.kill(process.pid, "SIGKILL");
}
