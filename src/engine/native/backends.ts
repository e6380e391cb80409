import type { BackendInfo, BackendName, LoadParams } from "../../protocol/engine.js";
import { ActError, toActError } from "../../protocol/errors.js";
import { Backend, type InstalledBackend, installedBackends, type LogListener } from "./native.js";
import { CHECKED, type Probe, probeBackend } from "./probe.js";

/** Devices that only pretend to be a GPU: right, and slower than the CPU backend. */
const SOFTWARE_DEVICE = /llvmpipe|lavapipe|swiftshader|software/i;

export interface BackendChoice {
  backend: Backend;
  /** Why this one, in a sentence. */
  reason: string;
  /** Taken without being asked for by name: when it fails, the CPU may take its place. */
  automatic: boolean;
}

/** What nobody has run yet, said where users ask what they have. */
const UNTRIED: Partial<Record<BackendName, string>> = {
  metal: "ACT on Metal: kernels never run on a Mac by their authors; checked against the CPU at start-up",
  cuda: "ACT on CUDA: kernels never run on a GPU by their authors; checked against the CPU at start-up",
};

/** The llama.cpp binaries of this installation. A process opens one of them, once. */
export class Backends {
  private current: { name: BackendName; backend: Promise<Backend> } | null = null;
  /** Why calibration stays on the CPU, or null. What a process was first told holds: kernels that are kept off are not checked again. */
  private readonly verdicts = new Map<BackendName, string | null>();

  /** @param access how binaries are found, probed and opened; tests bring their own */
  constructor(
    private readonly log: LogListener,
    private readonly access: { installed: typeof installedBackends; probe: typeof probeBackend; open: typeof Backend.open } = {
      installed: installedBackends,
      probe: probeBackend,
      open: Backend.open,
    },
  ) {}

  /** @throws ActError `other-backend` when this process has another one open. */
  get(name: BackendName): Promise<Backend> {
    if (this.current && this.current.name !== name)
      throw new ActError("other-backend", `The engine process has ${this.current.name} open and must be started anew for ${name}.`);
    if (!this.current) {
      const backend = this.open(name);
      this.current = { name, backend };
      backend.catch(() => {
        this.current = null;
      });
    }
    return this.current.backend;
  }

  /** The backend for a load. `auto`: the one that is open, else the first GPU backend with our op and a real device, else the CPU. */
  async choose(asked: LoadParams["backend"]): Promise<BackendChoice> {
    if ((await this.current?.backend)?.lost)
      throw new ActError("other-backend", "The device of this engine process was lost; the process must be started anew.");
    if (asked !== undefined && asked !== "auto") {
      const backend = await this.get(asked);
      if (asked !== "cpu" && backend.devices.length === 0)
        throw new ActError(
          "unsupported",
          `The backend "${asked}" finds no device on this machine. Install its driver, or use the backend "cpu".`,
        );
      return { backend, reason: `The ${asked} backend was asked for.${this.whereComputed(asked)}`, automatic: false };
    }
    if (this.current) {
      const { name, backend } = this.current;
      return { backend: await backend, reason: `${name} is in use since the engine started.${this.whereComputed(name)}`, automatic: true };
    }
    const passed: string[] = [];
    for (const installed of this.access.installed()) {
      if (installed.name === "cpu") continue;
      const { why, device } = await this.judge(installed);
      if (why === null) {
        const backend = await this.get(installed.name);
        return { backend, reason: `${installed.name} is used, with ${device}.${this.whereComputed(installed.name)}`, automatic: true };
      }
      passed.push(`${installed.name} ${why}`);
    }
    const reason = passed.length > 0 ? `The CPU is used: ${passed.join("; ")}.` : "The CPU is used: no GPU backend is installed.";
    return { backend: await this.get("cpu"), reason, automatic: true };
  }

  /** What the binary for the CPU holds: there is always one. */
  async cpu(): Promise<Probe> {
    const cpu = this.access.installed().find(({ name }) => name === "cpu") as InstalledBackend;
    return await this.access.probe(cpu);
  }

  /** Every installed backend; with `probe` each is asked what it holds, otherwise the CPU alone. */
  async list(probe: boolean): Promise<BackendInfo[]> {
    return await Promise.all(
      this.access.installed().map(async (installed): Promise<BackendInfo> => {
        const { name, ours } = installed;
        if (!probe && name !== "cpu") return { name, act: ours, reason: "not asked yet" };
        try {
          const { patchSet, devices, onCpu } = await this.ask(installed);
          const device = devices.join(", ");
          const reason =
            patchSet === null
              ? "a stock llama.cpp binary"
              : name !== "cpu" && device === ""
                ? "it finds no device here"
                : onCpu === null
                  ? UNTRIED[name]
                  : `calibration is computed on the CPU: ${onCpu}`;
          return { name, act: patchSet !== null, ...(device && { device }), ...(reason && { reason }) };
        } catch (error) {
          return { name, act: false, reason: toActError(error).message };
        }
      }),
    );
  }

  /** Opens a binary; kernels that failed their check are kept off first, and the op then runs on the CPU. */
  private async open(name: BackendName): Promise<Backend> {
    const off = CHECKED[name];
    const installed = this.access.installed().find((one) => one.name === name);
    if (off !== undefined && installed?.ours) {
      if (!this.verdicts.has(name)) await this.ask(installed);
      if (this.verdicts.get(name) !== null) process.env[off] = "1";
    }
    return await this.access.open(name, this.log);
  }

  private async ask(installed: InstalledBackend): Promise<Probe> {
    const probe = await this.access.probe(installed);
    const known = this.verdicts.get(installed.name);
    const onCpu = known === undefined ? probe.onCpu : known;
    this.verdicts.set(installed.name, onCpu);
    return { ...probe, onCpu };
  }

  private whereComputed(name: BackendName): string {
    const onCpu = this.verdicts.get(name) ?? null;
    return onCpu === null ? "" : ` Calibration is computed on the CPU: ${onCpu}.`;
  }

  /** Why a GPU backend is passed over; null and its device where it is not. */
  private async judge(installed: InstalledBackend): Promise<{ why: string | null; device: string }> {
    if (!installed.ours) return { why: "is installed without calibration", device: "" };
    try {
      const { patchSet, devices } = await this.ask(installed);
      const device = devices.find((name) => !SOFTWARE_DEVICE.test(name));
      if (patchSet === null) return { why: "is installed without calibration", device: "" };
      if (device === undefined)
        return { why: devices.length > 0 ? `has only a software device (${devices.join(", ")})` : "finds no device", device: "" };
      return { why: null, device };
    } catch (error) {
      return { why: `does not work here (${toActError(error).message.replace(/\.$/, "")})`, device: "" };
    }
  }
}
