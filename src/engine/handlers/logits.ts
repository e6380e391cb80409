import { type Calibration, DEFAULT_THRESHOLD, eligibleHeads, type Head } from "../../protocol/calibration.js";
import type { HeadSinks, LogitsResult } from "../../protocol/engine.js";
import { checkTokens } from "../check.js";
import type { Handler } from "../engine.js";
import type { NativeContext } from "../native/native.js";
import { beginSegment, decodeSegment, sinksOfMeans } from "../run/segment.js";

export const logits: Handler<"logits"> = async (engine, params, call) => {
  return await engine.queue.run("logits", "request", call.signal, async (turn) => {
    const { model } = engine;
    const { calibration } = params;
    const forced = params.forced ?? [];
    const tokens = model.promptTokens(params);
    if (forced.length > 0) checkTokens(forced, model.info.vocabulary, "list of forced tokens");
    model.checkCalibration(calibration);
    const segment = params.split ? Math.min(model.info.ubatch, tokens.length) : tokens.length;
    if (!params.split) model.checkSegment(tokens.length, forced.length);
    else model.checkContext(tokens.length + forced.length);

    return await model.withSegments({ segment, contextSize: tokens.length + forced.length }, async (context) => {
      beginSegment(context, calibration);
      const eligible = eligibleHeads(model.info.layers, model.info.heads);
      const evaluate = (chunk: readonly number[], start: number) =>
        withSinks(context, calibration, eligible, () => decodeSegment(context, chunk, start, call.signal));
      let sinks: HeadSinks[] = [];
      for (let start = 0; start < tokens.length; start += segment) {
        if (start > 0) await turn.pause();
        sinks = await evaluate(tokens.slice(start, start + segment), start);
      }
      const last = (tokens.length - 1) % segment;
      const result: LogitsResult = { tokens, logits: await context.logits(last), sinks, decode: [] };
      for (const [step, token] of forced.entries()) {
        await turn.pause();
        const after = await evaluate([token], tokens.length + step);
        result.decode.push({ logits: await context.logits(0), sinks: after });
      }
      return result;
    });
  });
};

/**
 * Sinks of the segment that `decode` evaluates: what the op used where heads are calibrated, otherwise what it would have used on the
 * eligible heads at the default threshold. A stock binary cannot see any; it reports none.
 */
async function withSinks(
  context: NativeContext,
  calibration: Calibration | null,
  eligible: readonly Head[],
  decode: () => Promise<void>,
): Promise<HeadSinks[]> {
  if (!context.patched) {
    await decode();
    return [];
  }
  if (calibration && calibration.heads.length > 0) {
    await decode();
    return context.sinks(0);
  }
  const means = await context.capture(decode);
  return sinksOfMeans(means, eligible, DEFAULT_THRESHOLD);
}
