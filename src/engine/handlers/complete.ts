import type { Handler } from "../engine.js";
import { generate } from "../run/generate.js";

export const complete: Handler<"complete"> = async (engine, params, call) => {
  return await engine.queue.run("complete", "request", call.signal, async (turn) => {
    const prompt = engine.model.encode(params.prompt);
    const onText = (text: string) => call.progress({ text });
    return await generate(engine, turn, { owner: "complete", prompt, calibration: params.calibration, sampling: params, onText });
  });
};
