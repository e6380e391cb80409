import type { LoadParams } from "../../protocol/engine.js";
import { ActError, toActError } from "../../protocol/errors.js";
import { fileSha256 } from "../../store/file-hash.js";
import type { Engine, Handler } from "../engine.js";
import { preflight } from "../native/preflight.js";
import { Model } from "../run/model.js";

export const load: Handler<"load"> = async (engine, params, call) => {
  return await engine.queue.run("load", "request", call.signal, async () => {
    refuseDuringBackgroundWork(engine);
    const before = engine.loaded?.params;
    try {
      engine.loaded = await open(engine, params, (fraction) => call.progress({ fraction }), call.signal);
    } catch (error) {
      // Whoever tried another model keeps the one that worked.
      if (before && !engine.loaded) engine.loaded = await again(engine, before);
      throw error;
    }
    const { info } = engine.loaded;
    engine.log(
      "info",
      `Loaded ${info.name} (${params.path}) on ${info.backend}: ${info.contextSize} tokens of context, FlashAttention ${info.flashAttention ? "on" : "off"}.`,
    );
    return info;
  });
};

/** Loads a model in place of the one that is loaded, which is let go as late as possible: memory is not there for both. */
async function open(engine: Engine, params: LoadParams, onProgress: (fraction: number) => void, signal: AbortSignal): Promise<Model> {
  const { header, bytes } = await preflight(params.path);
  const { backend, reason, automatic } = await engine.backends.choose(params.backend);
  const sha256 = await fileSha256(params.path, signal);
  await drop(engine);
  const loadOn = (given: LoadParams, backendReason: string) =>
    Model.load(backend, given, { sha256, bytes, shape: header, trainContext: header.trainContext, backendReason }, onProgress, signal);
  return await loadOn(params, reason).catch(async (error: unknown) => {
    // A GPU that was taken without being asked for, and that fails, is not the user's problem: the same binary can keep off it.
    if (backend.name === "cpu" || !automatic || signal.aborted) throw error;
    const why = `The CPU is used: ${backend.name} could not take the model (${toActError(error).message})`;
    engine.log("warn", why);
    return await loadOn({ ...params, gpuLayers: 0 }, why);
  });
}

async function again(engine: Engine, params: LoadParams): Promise<Model | null> {
  try {
    return await open(engine, params, () => {}, new AbortController().signal);
  } catch (error) {
    engine.log("error", `The model from before could not be loaded again: ${toActError(error).message}`);
    return null;
  }
}

export const unload: Handler<"unload"> = async (engine, _params, call) =>
  await engine.queue.run("unload", "request", call.signal, async () => {
    refuseDuringBackgroundWork(engine);
    await drop(engine);
    return null;
  });

/** Background work is paused, not ended, while a request runs: the model must not be taken from under it. */
function refuseDuringBackgroundWork(engine: Engine): void {
  const paused = engine.queue.paused;
  if (paused.length > 0) throw new ActError("usage", `The model is in use by ${paused.join(", ")}. Cancel that first.`);
}

async function drop(engine: Engine): Promise<void> {
  const model = engine.loaded;
  engine.loaded = null;
  await model?.dispose();
}
