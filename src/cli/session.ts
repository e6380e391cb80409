import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { EngineClient } from "../client/client.js";
import type { Calibration } from "../protocol/calibration.js";
import type { EngineMethod, LoadParams, ModelInfo } from "../protocol/engine.js";
import { ActError } from "../protocol/errors.js";
import type { Params, RequestOptions, Result } from "../protocol/rpc.js";
import { DEFAULT_MODEL, modelPath } from "../store/models.js";
import { choice, commonFlags, type Flags, number, text } from "./arguments.js";
import type { Session } from "./command.js";
import { calibrationOf } from "./head-set.js";

/** A command's connection to the engine process and to the terminal. */
export class TerminalSession implements Session {
  readonly json: boolean;
  private readonly client: EngineClient;
  private shown = "";
  private lastProgress = 0;

  constructor(
    readonly flags: Flags,
    readonly signal: AbortSignal,
  ) {
    this.json = flags.json === true;
    const verbose = flags.verbose === true;
    this.client = new EngineClient({
      entry: fileURLToPath(new URL("./engine.mjs", import.meta.url)),
      onLog: (level, line) => {
        if (verbose || level === "error") this.note(line);
      },
      // One command, one engine: when it dies, that is the answer.
      backoffMs: [],
    });
  }

  write(piece: string): void {
    if (!this.json) process.stdout.write(piece);
  }

  note(line: string): void {
    this.clearProgress();
    process.stderr.write(`${line}\n`);
  }

  progress(line: string): void {
    if (process.stderr.isTTY) {
      process.stderr.write(`\r${line.slice(0, (process.stderr.columns ?? 80) - 1)}\x1b[K`);
      this.shown = line;
    } else if (performance.now() - this.lastProgress > 5000) {
      // In a log, a line now and then.
      this.lastProgress = performance.now();
      process.stderr.write(`${line}\n`);
    }
  }

  clearProgress(): void {
    if (this.shown !== "") process.stderr.write("\r\x1b[K");
    this.shown = "";
  }

  request<M extends EngineMethod>(method: M, params: Params<M>, options: RequestOptions<M> = {}): Promise<Result<M>> {
    return this.client.request(method, params, { signal: this.signal, ...options });
  }

  modelPath(): string {
    const asked = text(this.flags, "model") ?? (process.env.ACT_MODEL || undefined);
    if (asked !== undefined) return asked;
    const path = modelPath(DEFAULT_MODEL);
    if (!existsSync(path))
      throw new ActError(
        "model-file",
        `The default model is not in the cache (${path}): run "npm start" once, or name a GGUF file with --model.`,
      );
    return path;
  }

  async load(overrides: Partial<LoadParams> = {}): Promise<ModelInfo> {
    const params: LoadParams = { path: this.modelPath(), ...this.loadFlags(), ...overrides };
    const model = await this.request("load", params, {
      onProgress: ({ fraction }) => this.progress(`Loading the model: ${Math.round(fraction * 100)} %`),
    });
    this.clearProgress();
    return model;
  }

  calibration(model: ModelInfo): Promise<Calibration | null> {
    return calibrationOf(this.flags, model, (warning) => this.note(warning));
  }

  dispose(): void {
    this.clearProgress();
    this.client.dispose();
  }

  private loadFlags(): Partial<LoadParams> {
    const { flags } = this;
    const given: Partial<LoadParams> = {
      backend: choice(flags, "backend", commonFlags.backend.schema),
      threads: number(flags, "threads"),
      contextSize: number(flags, "context"),
      ubatch: number(flags, "ubatch"),
      gpuLayers: number(flags, "gpu-layers"),
      flashAttention: choice(flags, "flash-attention", commonFlags["flash-attention"].schema),
      cacheType: choice(flags, "cache-type", commonFlags["cache-type"].schema),
    };
    return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  }
}
