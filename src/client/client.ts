import { type ChildProcess, fork } from "node:child_process";
import { setPriority } from "node:os";
import { IPCMessageReader, IPCMessageWriter } from "vscode-jsonrpc/node";
import {
  type EngineEvents,
  type EngineInfo,
  type EngineMethod,
  type LoadParams,
  type ModelInfo,
  PROTOCOL_VERSION,
} from "../protocol/engine.js";
import { ActError } from "../protocol/errors.js";
import { Caller, type Params, type RequestOptions, type Result } from "../protocol/rpc.js";
import { quarantine } from "../store/quarantine.js";

/** Starts the engine process, watches over it, and starts it again when it dies. Shared by host and cli. */

export interface EngineClientOptions {
  /** The engine bundle, dist/engine.mjs. */
  entry: string;
  env?: NodeJS.ProcessEnv;
  /** Scheduling priority of the process, as for `os.setPriority`; default: that of this one. */
  priority?: number;
  onLog?(level: EngineEvents["log"]["level"], text: string): void;
  onState?(state: EngineState): void;
  onHeartbeat?(beat: EngineEvents["heartbeat"]): void;
  /** Told of a file whose load, or whose use twice in a row, crashed the engine. */
  onLoadCrash?(path: string): void;
  /** Notes such a file, so that it is not tried again. Default: the store's quarantine. */
  quarantine?(path: string, reason: string): Promise<void>;
  /** A heartbeat comes every 500 ms; without one for this long the engine is called hung. */
  hangMs?: number;
  /** The engine must answer its handshake within this time. */
  startMs?: number;
  /** Waits before the first, second… restart after a crash. As many crashes in a row as there are entries, plus one, stop the restarts. */
  backoffMs?: readonly number[];
}

/** `down`: not started, or ended on purpose. `crashed`: given up after crashes in a row; `restart()` is the way on. */
export type EngineState =
  | { kind: "down" }
  | { kind: "starting" }
  | { kind: "ready"; info: EngineInfo; model: ModelInfo | null }
  | { kind: "crashed"; reason: string };

/** A crash this long after the start is not "in a row" with the ones before. */
const STABLE_MS = 60_000;
const STDERR_TAIL = 2000;
/** Ends that say nothing about the file that was being loaded. */
const STOPPED_FROM_OUTSIDE = /SIGKILL|SIGTERM|SIGINT|SIGHUP|did not start/;

interface Running {
  child: ChildProcess;
  caller: Caller;
  info: EngineInfo;
}

/**
 * The binary computes on libuv's worker threads, and OpenMP gives each worker that calls it a team of its own, which then spins for a while beside
 * the next one's: with one worker, decode is up to twice as fast on two cores. Only one call computes at a time anyway (the queue).
 * A team that waits for the next token spins for microseconds, not for milliseconds: the core is wanted, by the editor or by this process itself.
 */
export const COMPUTING = { UV_THREADPOOL_SIZE: "1", GOMP_SPINCOUNT: "1000" };

export class EngineClient {
  private running: Promise<Running> | null = null;
  private child: ChildProcess | null = null;
  private current: EngineState = { kind: "down" };
  private crashes = 0;
  /** Crashes in a row while the model was in use. The second one puts its file on the list of those that crash. */
  private crashesInUse = 0;
  private startedAt = 0;
  private retry: NodeJS.Timeout | null = null;
  private disposed = false;
  /** What is loaded again after a restart. */
  private lastLoad: LoadParams | null = null;
  private loading: LoadParams | null = null;

  constructor(private readonly options: EngineClientOptions) {}

  get state(): EngineState {
    return this.current;
  }

  /** Process id of the running engine, for diagnostics. */
  get pid(): number | undefined {
    return this.child?.pid;
  }

  /**
   * Sends a request, starting the engine where needed. Always settles: with the result, with an ActError of the engine, with `cancelled`, or
   * with `engine-gone` saying what happened to the process.
   */
  async request<M extends EngineMethod>(method: M, params: Params<M>, options: RequestOptions<M> = {}): Promise<Result<M>> {
    if (method === "load") return (await this.load(params as LoadParams, options as RequestOptions<"load">)) as Result<M>;
    assertSendable(params);
    const { caller } = await this.start();
    const result = await caller.request(method, params, options);
    // An answer to real work says that this engine is sound again.
    if (method !== "handshake") {
      this.crashes = 0;
      this.crashesInUse = 0;
    }
    if (method === "unload") this.lastLoad = null;
    return result;
  }

  /** Starts the engine if it is not running; resolves when it has answered its handshake and has its model back. */
  async info(): Promise<EngineInfo> {
    return (await this.start()).info;
  }

  /** Ends the engine and starts anew, also after the restarts were given up. */
  async restart(): Promise<EngineInfo> {
    this.crashes = 0;
    this.stop("The engine was restarted.");
    return await this.info();
  }

  /** Ends the engine for good; what is pending is rejected with `engine-gone`. */
  dispose(): void {
    this.disposed = true;
    this.stop("The engine was stopped.");
  }

  private async load(params: LoadParams, options: RequestOptions<"load">): Promise<ModelInfo> {
    try {
      return await this.loadOnce(params, options);
    } catch (error) {
      if (!(error instanceof ActError && error.code === "other-backend")) throw error;
      // Two llama.cpp binaries do not go together in one process.
      const before = this.lastLoad;
      this.lastLoad = null;
      this.stop("The engine was restarted for another backend.");
      try {
        return await this.loadOnce(params, options);
      } catch (failure) {
        // The next request finds the model that worked, in a process of its backend.
        this.lastLoad = before;
        this.stop("The engine was restarted for the model from before.");
        throw failure;
      }
    }
  }

  private async loadOnce(params: LoadParams, options: RequestOptions<"load">): Promise<ModelInfo> {
    const { caller, info } = await this.start();
    this.loading = params;
    try {
      const model = await caller.request("load", params, options);
      this.lastLoad = params;
      this.loading = null;
      this.set({ kind: "ready", info, model });
      return model;
    } catch (error) {
      // When the engine died, `died` still has to see which file it was loading; it clears the mark itself.
      if (!(error instanceof ActError && error.code === "engine-gone")) this.loading = null;
      throw error;
    }
  }

  private start(): Promise<Running> {
    if (this.disposed) return Promise.reject(new ActError("engine-gone", "The engine was stopped."));
    if (this.current.kind === "crashed") return Promise.reject(new ActError("engine-gone", this.current.reason));
    if (this.retry) {
      clearTimeout(this.retry);
      this.retry = null;
    }
    this.running ??= this.launch();
    return this.running;
  }

  private async launch(): Promise<Running> {
    this.set({ kind: "starting" });
    this.startedAt = Date.now();
    const child = fork(this.options.entry, [], {
      execPath: process.execPath,
      execArgv: [],
      env: { ...process.env, ...COMPUTING, ...this.options.env, ELECTRON_RUN_AS_NODE: "1" },
      // Typed arrays cross as they are.
      serialization: "advanced",
      // Nothing the engine prints may end up in a JSON document on our standard output.
      stdio: ["ignore", "ignore", "pipe", "ipc"],
    });
    this.child = child;
    // At once: threads take the priority that their process has when they are made.
    if (this.options.priority !== undefined && child.pid !== undefined) setPriority(child.pid, this.options.priority);
    let stderr = "";
    child.stderr?.on("data", (chunk: Buffer) => {
      stderr = (stderr + chunk.toString("utf8")).slice(-STDERR_TAIL);
    });
    const caller = new Caller(new IPCMessageReader(child), new IPCMessageWriter(child));
    let killed: string | null = null;
    const kill = (why: string) => {
      killed = why;
      child.kill("SIGKILL");
    };
    let watchdog = setTimeout(() => kill("did not start in time"), this.options.startMs ?? 120_000);
    const gone = (what: string) => {
      clearTimeout(watchdog);
      const reason = killed ?? what;
      caller.close(new ActError("engine-gone", `The engine process ${reason} while it worked on this request.`));
      this.died(child, reason, stderr);
    };
    child.once("exit", (code, signal) => gone(signal ? `was ended by ${signal}` : `ended with code ${code}`));
    child.once("error", (error) => gone(`could not be started (${error.message})`));
    caller.on("log", ({ level, text }) => this.options.onLog?.(level, text));
    const hangMs = this.options.hangMs ?? 5000;
    const alive = () => {
      clearTimeout(watchdog);
      // Twice, because timers of a process that was itself held up (suspended, in a debugger) fire before the messages that wait are read.
      watchdog = setTimeout(() => {
        watchdog = setTimeout(() => kill("stopped answering"), hangMs / 5);
      }, hangMs);
    };
    caller.on("heartbeat", (beat) => {
      alive();
      this.options.onHeartbeat?.(beat);
    });

    const info = await caller.request("handshake", {});
    if (this.child === child) alive();
    if (info.protocol !== PROTOCOL_VERSION) {
      this.stop("The engine speaks another protocol.");
      const reason = `The engine speaks protocol ${info.protocol}, this program ${PROTOCOL_VERSION}. Reinstall the extension so that both come from one build.`;
      this.set({ kind: "crashed", reason });
      throw new ActError("engine-gone", reason);
    }
    const model = this.lastLoad ? await this.reload(caller, this.lastLoad) : null;
    this.set({ kind: "ready", info, model });
    return { child, caller, info };
  }

  /** The model from before the crash. When it cannot be had any more, the engine goes on without one and the next request says so. */
  private async reload(caller: Caller, params: LoadParams): Promise<ModelInfo | null> {
    this.loading = params;
    try {
      const model = await caller.request("load", params);
      this.loading = null;
      return model;
    } catch (error) {
      if (error instanceof ActError && error.code === "engine-gone") throw error;
      this.loading = null;
      this.lastLoad = null;
      this.options.onLog?.("error", `The model could not be loaded again: ${error instanceof Error ? error.message : String(error)}`);
      return null;
    }
  }

  private died(child: ChildProcess, what: string, stderr: string): void {
    if (this.child !== child) return; // ended on purpose by stop()
    this.child = null;
    this.running = null;
    this.options.onLog?.("error", `The engine process ${what}.${stderr.trim() === "" ? "" : `\n${stderr.trim()}`}`);
    const { loading } = this;
    this.loading = null;
    const ownFault = !STOPPED_FROM_OUTSIDE.test(what);
    if (loading) {
      // The model from before, if it is another one, comes back with the next start.
      if (this.lastLoad?.path === loading.path) this.lastLoad = null;
      this.options.onLoadCrash?.(loading.path);
      if (ownFault) this.quarantine(loading.path, `while it was loaded, the engine process ${what}`);
    } else if (this.lastLoad && ownFault && ++this.crashesInUse >= 2) {
      this.quarantine(this.lastLoad.path, `twice in a row while it was used; the engine process ${what}`);
      this.options.onLoadCrash?.(this.lastLoad.path);
      this.lastLoad = null;
      this.crashesInUse = 0;
    }
    if (Date.now() - this.startedAt > STABLE_MS) this.crashes = 0;
    const wait = (this.options.backoffMs ?? [100, 500])[this.crashes];
    this.crashes++;
    if (wait === undefined) {
      const reason = `The engine process ${what}; that was the ${ordinal(this.crashes)} crash in a row, so it is not started again by itself. Use "ACT: Restart Engine" or choose another model; the log shows what it said.`;
      this.set({ kind: "crashed", reason });
      return;
    }
    this.set({ kind: "starting" });
    this.retry = setTimeout(() => {
      this.retry = null;
      // Its failure is handled by its own exit event; whoever asks next gets the error.
      this.start().catch(() => {});
    }, wait);
  }

  private quarantine(path: string, reason: string): void {
    (this.options.quarantine ?? quarantine)(path, reason).catch((error: unknown) =>
      this.options.onLog?.("warn", `${path} could not be put on the list of files that crash: ${String(error)}`),
    );
  }

  private stop(reason: string): void {
    if (this.retry) clearTimeout(this.retry);
    this.retry = null;
    const { child, running } = this;
    this.child = null;
    this.running = null;
    this.loading = null;
    running?.then(
      ({ caller }) => caller.close(new ActError("engine-gone", reason)),
      () => {},
    );
    if (child?.connected) child.disconnect();
    child?.kill("SIGKILL");
    this.set({ kind: "down" });
  }

  private set(state: EngineState): void {
    this.current = state;
    this.options.onState?.(state);
  }
}

/** Characters and numbers of one request. Sending more would hold both processes, and the engine would be taken for hung. */
const MOST_SENT = 16_000_000;

/** @throws ActError `usage` before anything is sent */
function assertSendable(params: unknown): void {
  let size = 0;
  const waiting: unknown[] = [params];
  while (waiting.length > 0) {
    const value = waiting.pop();
    if (typeof value === "string") size += value.length;
    else if (ArrayBuffer.isView(value)) size += value.byteLength;
    else if (Array.isArray(value)) {
      size += value.length;
      if (size <= MOST_SENT) waiting.push(...value.filter((one) => typeof one !== "number"));
    } else if (value && typeof value === "object") waiting.push(...Object.values(value));
    if (size > MOST_SENT)
      throw new ActError("usage", `The request is too long: more than ${MOST_SENT} characters and numbers. Nothing was sent; shorten it.`);
  }
}

function ordinal(n: number): string {
  return n === 1 ? "first" : n === 2 ? "second" : n === 3 ? "third" : `${n}th`;
}
