import type { BackendInfo, BackendName, LoadParams } from "../protocol/engine.js";
import { ActError } from "../protocol/errors.js";
import { Backend, installedBackends, type LogListener } from "./native.js";

/** The llama.cpp binaries of this installation, each loaded when first needed. */
export class Backends {
  private readonly open = new Map<BackendName, Promise<Backend>>();

  constructor(private readonly log: LogListener) {}

  get(name: BackendName): Promise<Backend> {
    let backend = this.open.get(name);
    if (!backend) {
      backend = Backend.open(name, this.log);
      this.open.set(name, backend);
      // A backend that failed may work later (a driver was installed): ask again then.
      backend.catch(() => this.open.delete(name));
    }
    return backend;
  }

  /** The backend for a load, and why it, in a sentence. `auto`: the first GPU backend that works and holds our op, else the CPU. */
  async choose(asked: LoadParams["backend"]): Promise<{ backend: Backend; reason: string }> {
    if (asked !== undefined && asked !== "auto") return { backend: await this.get(asked), reason: `The ${asked} backend was asked for.` };
    const passed: string[] = [];
    for (const { name, ours } of installedBackends()) {
      if (name === "cpu") continue;
      if (!ours) {
        passed.push(`${name} is installed without calibration`);
        continue;
      }
      try {
        const backend = await this.get(name);
        if (backend.patchSet !== null) return { backend, reason: `${name} is available with calibration.` };
        passed.push(`${name} is installed without calibration`);
      } catch (error) {
        passed.push(`${name} does not work here (${error instanceof ActError ? error.message : String(error)})`);
      }
    }
    return {
      backend: await this.get("cpu"),
      reason: passed.length > 0 ? `The CPU is used: ${passed.join("; ")}.` : "The CPU is used: no GPU backend is installed.",
    };
  }

  /** Every installed backend; with `probe` each is loaded to see what it holds, otherwise only those that are open already and the CPU. */
  async list(probe: boolean): Promise<BackendInfo[]> {
    const infos: BackendInfo[] = [];
    for (const { name, ours } of installedBackends()) {
      if (!probe && name !== "cpu" && !this.open.has(name)) {
        infos.push({ name, act: ours, reason: "not loaded yet" });
        continue;
      }
      try {
        infos.push((await this.get(name)).info());
      } catch (error) {
        infos.push({ name, act: false, reason: error instanceof Error ? error.message : String(error) });
      }
    }
    return infos;
  }
}
