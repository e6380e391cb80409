import * as path from "node:path";
import * as vscode from "vscode";
import { EngineClient, type EngineState } from "../../client/client.js";
import type { EngineEvents, EngineMethod, LoadParams, ModelInfo } from "../../protocol/engine.js";
import { ActError, toActError } from "../../protocol/errors.js";
import type { Params, RequestOptions, Result } from "../../protocol/rpc.js";
import { KNOWN_MODELS } from "../../store/models.js";
import { runCommand } from "../commands.js";
import type { Log } from "../log.js";
import type { Settings } from "../settings.js";
import { checkMemory, EngineRegistry } from "./memory.js";

/** What status bar, chat and menu show. */
export interface EngineStatus {
  phase: "no-model" | "idle" | "starting" | "loading" | "ready" | "failed";
  model: ModelInfo | null;
  /** Fraction 0 to 1 while loading. */
  loaded: number;
  /** What the engine works on; null when it waits. */
  busy: string | null;
  queued: number;
  tokensPerSecond: number | null;
  /** Why the phase is `failed`. */
  problem: string | null;
}

/** Requests that need no model. */
const WITHOUT_MODEL: ReadonlySet<EngineMethod> = new Set(["handshake", "unload", "load"]);

/**
 * The host's engine: nothing runs until the first request; then the process is started and the model of the settings loaded, once.
 * A crash is handled by the client; here it becomes something to see and a way on.
 */
export class Engine implements vscode.Disposable {
  private readonly changed = new vscode.EventEmitter<EngineStatus>();
  readonly onDidChange = this.changed.event;
  private client: EngineClient;
  /** The load that was last asked for, by its parameters. It outlives a crash: the client loads the same model again. */
  private wanted: { key: string; model: Promise<ModelInfo> } | null = null;
  private isLoading = false;
  private beat: EngineEvents["heartbeat"] = { busy: null, queued: 0, tokensPerSecond: null };
  private fraction = 0;
  private failure: string | null = null;
  private readonly registry: EngineRegistry;
  private readonly listening: vscode.Disposable;

  constructor(
    private readonly context: vscode.ExtensionContext,
    private readonly settings: Settings,
    private readonly log: Log,
  ) {
    this.registry = new EngineRegistry(path.join(context.globalStorageUri.fsPath, "engines"));
    this.client = this.createClient();
    this.listening = settings.onDidChange(["model.path", "model.contextSize", "model.backend", "model.threads"], () => {
      this.failure = null;
      this.publish();
    });
  }

  get status(): EngineStatus {
    const { state } = this.client;
    const model = state.kind === "ready" ? state.model : null;
    return {
      phase: this.phase(state, model),
      model,
      loaded: this.fraction,
      busy: this.beat.busy,
      queued: this.beat.queued,
      tokensPerSecond: this.beat.tokensPerSecond,
      problem: state.kind === "crashed" ? state.reason : this.failure,
    };
  }

  get modelPath(): string {
    return this.settings.get("model.path");
  }

  /** The chosen model's name for people; null where none is chosen. Names inside GGUF files are often those of a training run. */
  get modelName(): string | null {
    const file = path.basename(this.modelPath);
    if (file === "") return null;
    return KNOWN_MODELS.find((known) => known.file === file)?.title ?? this.status.model?.name ?? path.basename(file, ".gguf");
  }

  /** Process id of the running engine, for tests and diagnostics. */
  get pid(): number | undefined {
    return this.client.pid;
  }

  /** Sends a request with the chosen model loaded. Always settles. */
  async request<M extends EngineMethod>(method: M, params: Params<M>, options: RequestOptions<M> = {}): Promise<Result<M>> {
    if (!WITHOUT_MODEL.has(method)) await this.model(options.signal);
    return await this.client.request(method, params, options);
  }

  /** The loaded model, loading it where needed. Giving up with `signal` leaves the load running for the next one who asks. */
  async model(signal?: AbortSignal): Promise<ModelInfo> {
    const params = this.loadParams();
    const key = JSON.stringify(params);
    if (this.wanted?.key !== key) {
      const model = this.load(params);
      const wanted = { key, model };
      this.wanted = wanted;
      model.catch(() => {
        if (this.wanted === wanted) this.wanted = null;
      });
    }
    return await raced(this.wanted.model, signal);
  }

  /** Loads another model file. Where that fails, the chosen one stays, and the engine has it loaded again. */
  async tryModel(file: string): Promise<ModelInfo> {
    const params = this.loadParams(file);
    const model = this.load(params, this.modelPath !== "");
    const loaded = await model;
    this.wanted = { key: JSON.stringify(params), model };
    return loaded;
  }

  async restart(): Promise<void> {
    this.failure = null;
    await this.client.restart();
    this.publish();
  }

  /** Ends the process and frees its memory; the next request starts it again. */
  stop(): void {
    this.client.dispose();
    this.registry.forget();
    this.wanted = null;
    this.failure = null;
    this.client = this.createClient();
    this.publish();
  }

  dispose(): void {
    this.listening.dispose();
    this.client.dispose();
    this.registry.forget();
    this.changed.dispose();
  }

  private loadParams(file = this.modelPath): LoadParams {
    if (file === "") throw new ActError("model-file", 'No model is chosen yet. Run "ACT: Choose Model".');
    const threads = this.settings.get("model.threads");
    return {
      path: file,
      contextSize: this.settings.get("model.contextSize"),
      backend: this.settings.get("model.backend"),
      ...(threads > 0 ? { threads } : {}),
    };
  }

  /** @param isTrial a failure says nothing about the chosen model */
  private async load(params: LoadParams, isTrial = false): Promise<ModelInfo> {
    this.failure = null;
    this.isLoading = true;
    this.fraction = 0;
    this.publish();
    try {
      await checkMemory(params.path, this.registry);
      const started = Date.now();
      const model = await this.client.request("load", params, {
        onProgress: ({ fraction }) => {
          this.fraction = fraction;
          this.publish();
        },
      });
      this.log.info(
        `Loaded ${model.name} (${model.backend}, ${model.threads} threads, context ${model.contextSize}) in ${Date.now() - started} ms. ${model.backendReason}`,
      );
      this.registry.note(this.client.pid, params.path, model.memory.modelBytes + model.memory.contextBytes);
      return model;
    } catch (error) {
      const failure = toActError(error);
      if (failure.code !== "cancelled") {
        if (!isTrial) this.failure = failure.message;
        this.log.error(failure.message);
      }
      throw failure;
    } finally {
      this.isLoading = false;
      this.publish();
    }
  }

  private createClient(): EngineClient {
    return new EngineClient({
      // The model may use every core: where the editor wants one too, it gets three quarters of it.
      priority: 5,
      entry: vscode.Uri.joinPath(this.context.extensionUri, "dist", "engine.mjs").fsPath,
      // llama.cpp says a great deal while it loads: that is for those who look for it.
      onLog: (level, text) => this.log[level === "info" ? "debug" : level](text.trimEnd()),
      onState: (state) => {
        if (state.kind === "crashed") this.offerRestart(state.reason);
        if (state.kind !== "ready") this.beat = { busy: null, queued: 0, tokensPerSecond: null };
        // A model that came back after a crash is the one that was asked for; one that did not is loaded by the next request.
        if (state.kind === "ready" && !state.model && !this.isLoading) this.wanted = null;
        this.publish();
      },
      onHeartbeat: (beat) => {
        const same = beat.busy === this.beat.busy && beat.queued === this.beat.queued && beat.tokensPerSecond === this.beat.tokensPerSecond;
        this.beat = beat;
        if (!same) this.publish();
      },
    });
  }

  /** The restarts were given up: that is for the user to know, and to decide about. */
  private offerRestart(reason: string): void {
    const [restart, choose] = ["Restart Engine", "Choose Another Model"];
    void vscode.window.showErrorMessage(reason, restart, choose).then((answer) => {
      if (answer === restart) void runCommand("act.restartEngine");
      if (answer === choose) void runCommand("act.chooseModel");
    });
  }

  private phase(state: EngineState, model: ModelInfo | null): EngineStatus["phase"] {
    if (state.kind === "crashed") return "failed";
    if (this.isLoading) return "loading";
    if (this.failure) return "failed";
    if (this.modelPath === "") return "no-model";
    if (state.kind === "starting") return "starting";
    return model ? "ready" : "idle";
  }

  private publish(): void {
    const status = this.status;
    void vscode.commands.executeCommand("setContext", "act.engineRunning", this.client.state.kind === "ready");
    this.changed.fire(status);
  }
}

/** The promise's result, unless `signal` gives up on it first. */
function raced<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const giveUp = () => reject(new ActError("cancelled", "The request was cancelled."));
    if (signal.aborted) return giveUp();
    signal.addEventListener("abort", giveUp, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", giveUp));
  });
}

/** VS Code's token as the signal that everything else here uses. */
export function signalOf(token: vscode.CancellationToken): AbortSignal {
  const abort = new AbortController();
  if (token.isCancellationRequested) abort.abort();
  token.onCancellationRequested(() => abort.abort());
  return abort.signal;
}
