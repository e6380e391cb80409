import type { Calibration } from "../../protocol/calibration.js";
import type { HeadMatrix, SinkMap, TokenProbability } from "../../protocol/engine.js";
import { ActError } from "../../protocol/errors.js";
import type { Engine, Handler } from "../engine.js";
import type { Model } from "../run/model.js";
import { beginSegment, decodeSegment, sinksOfMeans } from "../run/segment.js";
import { infillTokens } from "./infill.js";

/** How many next tokens are shown. */
const NEXT_TOKENS = 10;

/** The prompt behind the last sink map, so that one head can be asked for in full. */
interface Kept {
  id: string;
  tokens: number[];
  calibration: Calibration | null;
  model: Model;
}
const kept = new WeakMap<Engine, Kept>();
let serial = 0;

export const sinks: Handler<"sinks"> = async (engine, params, call) => {
  return await engine.queue.run("sinks", "request", call.signal, async () => {
    const { model } = engine;
    const tokens = params.infill ? infillTokens(model, params.infill).prompt : model.promptTokens(params);
    const calibration = params.calibration && params.calibration.heads.length > 0 ? params.calibration : null;
    model.checkCalibration(calibration);
    model.checkSegment(tokens.length);
    return await model.withSegments({ segment: tokens.length }, async (context) => {
      beginSegment(context, null);
      const means = await context.capture(() => decodeSegment(context, tokens, 0, call.signal));
      const off = likeliest(model, await context.logits(tokens.length - 1));
      const heads = calibration ? calibration.heads : model.eligibleHeads;
      const id = `${++serial}`;
      kept.set(engine, { id, tokens, calibration, model });
      const map: SinkMap = {
        id,
        tokens: model.texts(tokens),
        ids: tokens,
        layers: means.layers,
        heads: means.heads,
        columnMeans: means.columnMeans,
        sinks: sinksOfMeans(means, heads, params.threshold),
        next: { off, on: null },
      };
      if (!calibration) return map;
      call.progress(map);
      beginSegment(context, calibration);
      await decodeSegment(context, tokens, 0, call.signal);
      return { ...map, next: { off, on: likeliest(model, await context.logits(tokens.length - 1)) } };
    });
  });
};

export const headMatrix: Handler<"headMatrix"> = async (engine, params, call) =>
  await engine.queue.run("headMatrix", "request", call.signal, async () => {
    const prompt = kept.get(engine);
    if (!prompt || prompt.id !== params.id || prompt.model !== engine.loaded)
      throw new ActError("usage", "The sink map this head belongs to is gone; show the sinks of the prompt again.");
    const { tokens, calibration, model } = prompt;
    const { layer, head } = params;
    const n = tokens.length;
    if (!(layer >= 0 && layer < model.info.layers && head >= 0 && head < model.info.heads))
      throw new ActError(
        "usage",
        `There is no head [${layer}, ${head}]; the model has ${model.info.layers} layers of ${model.info.heads} heads.`,
      );
    if (!Number.isInteger(params.maxSide) || params.maxSide < 1)
      throw new ActError("usage", "maxSide must be a whole number of at least 1.");
    const rows = range(params.rows, n, "rows");
    const columns = range(params.columns, n, "columns");
    const height = rows[1] - rows[0];
    const width = columns[1] - columns[0];
    const pool = Math.ceil(Math.max(height, width) / params.maxSide);
    return await model.withSegments({ segment: n }, async (context) => {
      beginSegment(context, calibration);
      const window = { firstRow: rows[0], rows: height, firstColumn: columns[0], columns: width, pool };
      const cells = await context.captureHead(layer, head, window, () => decodeSegment(context, tokens, 0, call.signal));
      const calibrated = calibration?.heads.some(([l, h]) => l === layer && h === head) ?? false;
      const matrix: HeadMatrix = {
        layer,
        head,
        rows: Math.ceil(height / pool),
        columns: Math.ceil(width / pool),
        pool,
        rowStart: rows[0],
        columnStart: columns[0],
        values: cells.before,
        calibrated: calibrated ? cells.after : null,
      };
      return matrix;
    });
  });

function range(asked: [number, number] | undefined, n: number, what: string): [number, number] {
  const [start, end] = asked ?? [0, n];
  if (!Number.isInteger(start) || !Number.isInteger(end) || start < 0 || end > n || start >= end)
    throw new ActError("usage", `The ${what} must be a range inside the prompt's ${n} tokens.`);
  return [start, end];
}

/** The likeliest next tokens with their softmax probabilities. */
export function likeliest(model: Pick<Model, "native">, logits: Float32Array): TokenProbability[] {
  let max = Number.NEGATIVE_INFINITY;
  for (const logit of logits) if (logit > max) max = logit;
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - max);
  const best: number[] = [];
  for (let id = 0; id < logits.length; id++) {
    const worst = best.at(-1);
    if (best.length === NEXT_TOKENS && worst !== undefined && (logits[id] ?? 0) <= (logits[worst] ?? 0)) continue;
    const at = best.findIndex((other) => (logits[other] ?? 0) < (logits[id] ?? 0));
    best.splice(at < 0 ? best.length : at, 0, id);
    best.length = Math.min(best.length, NEXT_TOKENS);
  }
  return best.map((id) => ({ id, text: model.native.detokenize([id], true), probability: Math.exp((logits[id] ?? 0) - max) / sum }));
}
