import {
  CancellationTokenSource,
  createMessageConnection,
  type MessageConnection,
  type MessageReader,
  type MessageWriter,
  NotificationType,
  ProgressType,
  RequestType,
  ResponseError,
} from "vscode-jsonrpc/node";
import type { EngineEvents, EngineMethod, EngineProgress, EngineRequests } from "./engine.js";
import { ActError, type ErrorCode, toActError } from "./errors.js";
import { checkedReader } from "./frames.js";

/** The wire: typed requests with progress and cancellation over any vscode-jsonrpc reader and writer. The only file that knows the library. */

export type Params<M extends EngineMethod> = EngineRequests[M]["params"];
export type Result<M extends EngineMethod> = EngineRequests[M]["result"];
/** What a request of method `M` streams back; `never` for the methods without progress. */
export type Progress<M extends EngineMethod> = M extends keyof EngineProgress ? EngineProgress[M] : never;

interface Envelope {
  params: unknown;
  progress: number;
}
interface WireError {
  code: ErrorCode;
}

const APPLICATION_ERROR = -32000;
const progressType = new ProgressType<unknown>();
const requestType = (method: string) => new RequestType<Envelope, unknown, WireError>(method);
const eventType = (name: string) => new NotificationType<unknown>(name);

/** The engine's side of one running request. */
export interface Call<M extends EngineMethod> {
  signal: AbortSignal;
  progress(value: Progress<M>): void;
}
export type Handlers = { [M in EngineMethod]?: (params: Params<M>, call: Call<M>) => Promise<Result<M>> };

export interface Server {
  notify<E extends keyof EngineEvents>(event: E, value: EngineEvents[E]): void;
  dispose(): void;
}

/** Answers requests with `handlers`. A method that is missing there is answered with an `unsupported` error. */
export function serve(reader: MessageReader, writer: MessageWriter, handlers: Handlers): Server {
  const connection = createMessageConnection(checkedReader(reader), writer);
  // A parent that went away makes sends fail; the engine then ends by its own disconnect handler.
  const quietly = (sending: Promise<void>) => void sending.catch(() => {});
  connection.onRequest(async (method, raw, token) => {
    const envelope = raw as unknown as Envelope;
    const handler = (Object.hasOwn(handlers, method) ? handlers[method as EngineMethod] : undefined) as
      | ((params: unknown, call: Call<EngineMethod>) => Promise<unknown>)
      | undefined;
    if (!handler) return toWire(new ActError("unsupported", `This engine does not answer "${method}".`));
    const abort = new AbortController();
    if (token.isCancellationRequested) abort.abort();
    const listening = token.onCancellationRequested(() => abort.abort());
    try {
      const call = {
        signal: abort.signal,
        progress: (value: unknown) => quietly(connection.sendProgress(progressType, envelope.progress, value)),
      };
      return await handler(envelope.params, call);
    } catch (error) {
      return toWire(toActError(error));
    } finally {
      listening.dispose();
    }
  });
  connection.listen();
  return {
    notify: (event, value) => quietly(connection.sendNotification(eventType(event), value)),
    dispose: () => connection.dispose(),
  };
}

export interface RequestOptions<M extends EngineMethod> {
  signal?: AbortSignal;
  onProgress?(value: Progress<M>): void;
}

/** Calls the other side. Every request settles: with its result, with an ActError of the other side, or with the reason given to `close`. */
export class Caller {
  private readonly connection: MessageConnection;
  private readonly gone: Promise<never>;
  private refuse: (error: ActError) => void = () => {};
  private closed: ActError | null = null;
  private nextProgress = 1;

  constructor(reader: MessageReader, writer: MessageWriter) {
    this.connection = createMessageConnection(checkedReader(reader), writer);
    this.gone = new Promise((_, reject) => {
      this.refuse = reject;
    });
    this.gone.catch(() => {});
    // The library reports a broken channel here as well as by rejecting the request; the owner of the process calls close().
    this.connection.onError(() => {});
    this.connection.listen();
  }

  on<E extends keyof EngineEvents>(event: E, listener: (value: EngineEvents[E]) => void): void {
    this.connection.onNotification(eventType(event), (value) => listener(value as EngineEvents[E]));
  }

  async request<M extends EngineMethod>(method: M, params: Params<M>, options: RequestOptions<M> = {}): Promise<Result<M>> {
    const { signal, onProgress } = options;
    if (this.closed) throw this.closed;
    if (signal?.aborted) throw cancelled();
    const progress = this.nextProgress++;
    const listening = onProgress
      ? this.connection.onProgress(progressType, progress, (value) => onProgress(value as Progress<M>))
      : undefined;
    const source = new CancellationTokenSource();
    const cancel = () => source.cancel();
    signal?.addEventListener("abort", cancel, { once: true });
    try {
      const answer = this.connection.sendRequest(requestType(method), { params, progress }, source.token);
      return (await Promise.race([answer, this.gone])) as Result<M>;
    } catch (error) {
      throw this.closed ?? fromWire(error, signal);
    } finally {
      signal?.removeEventListener("abort", cancel);
      listening?.dispose();
      source.dispose();
    }
  }

  /** Rejects what is pending, and everything asked later, with `reason`. The library alone would leave pending requests pending. */
  close(reason: ActError): void {
    if (this.closed) return;
    this.closed = reason;
    this.refuse(reason);
    this.connection.dispose();
  }
}

function cancelled(): ActError {
  return new ActError("cancelled", "The request was cancelled.");
}

function toWire(error: ActError): ResponseError<WireError> {
  return new ResponseError(APPLICATION_ERROR, error.message, { code: error.code });
}

function fromWire(error: unknown, signal: AbortSignal | undefined): ActError {
  if (error instanceof ActError) return error;
  if (error instanceof ResponseError) {
    if (error.code === APPLICATION_ERROR && error.data) return new ActError(error.data.code, error.message);
    if (signal?.aborted) return cancelled();
    return new ActError("internal", `The engine could not read the request: ${error.message}`);
  }
  return new ActError("engine-gone", `The engine cannot be reached: ${error instanceof Error ? error.message : String(error)}.`);
}
