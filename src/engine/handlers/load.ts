import { stat } from "node:fs/promises";
import type { LoadParams } from "../../protocol/engine.js";
import { ActError, toActError } from "../../protocol/errors.js";
import { fileSha256 } from "../../store/file-hash.js";
import type { Engine, Handler } from "../engine.js";
import { preflight } from "../native/preflight.js";
import { Model } from "../run/model.js";

export const load: Handler<"load"> = async (engine, params, call) => {
  return await engine.queue.run("load", "request", call.signal, async () => {
    refuseDuringBackgroundWork(engine);
    const header = await preflight(params.path);
    const { size } = await stat(params.path);
    const { backend, reason, automatic } = await engine.backends.choose(params.backend);
    await drop(engine);
    const sha256 = await fileSha256(params.path, call.signal);
    const loadOn = (given: LoadParams, backendReason: string) =>
      Model.load(
        backend,
        given,
        { sha256, bytes: size, shape: header, trainContext: header.trainContext, backendReason },
        (fraction) => call.progress({ fraction }),
        call.signal,
      );
    const model = await loadOn(params, reason).catch(async (error: unknown) => {
      // A GPU that was taken without being asked for, and that fails, is not the user's problem: the same binary can keep off it.
      if (backend.name === "cpu" || !automatic || call.signal.aborted) throw error;
      const why = `The CPU is used: ${backend.name} could not take the model (${toActError(error).message})`;
      engine.log("warn", why);
      return await loadOn({ ...params, gpuLayers: 0 }, why);
    });
    engine.loaded = model;
    engine.log(
      "info",
      `Loaded ${model.info.name} (${params.path}) on ${model.info.backend}: ${model.info.contextSize} tokens of context, FlashAttention ${model.info.flashAttention ? "on" : "off"}.`,
    );
    return model.info;
  });
};

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
