import type { EngineEvents, EngineMethod } from "../protocol/engine.js";
import { ActError } from "../protocol/errors.js";
import type { Call, Params, Result } from "../protocol/rpc.js";
import type { Backends } from "./native/backends.js";
import { Queue } from "./queue.js";
import type { Model } from "./run/model.js";

/** A handler answers one method. Work on the model goes through `engine.queue`; long work calls `turn.pause()` between batches. */
export type Handler<M extends EngineMethod> = (engine: Engine, params: Params<M>, call: Call<M>) => Promise<Result<M>>;

/** What the handlers share: the queue over the model, the loaded model, the binaries. */
export class Engine {
  readonly queue = new Queue();
  loaded: Model | null = null;
  /** Speed of the last generation, for the status bar; null when nothing was generated yet. */
  tokensPerSecond: number | null = null;

  constructor(
    readonly backends: Backends,
    readonly log: (level: EngineEvents["log"]["level"], text: string) => void,
  ) {}

  /** @throws ActError `usage` when no model is loaded. */
  get model(): Model {
    if (!this.loaded) throw new ActError("usage", "No model is loaded. Choose a model first.");
    return this.loaded;
  }
}
