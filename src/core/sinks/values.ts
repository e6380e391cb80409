/**
 * What can be read from a captured prompt without asking the engine again: sinks at any threshold, the mass a head gives to them,
 * how much the prompt's tokens are looked at.
 */
import type { Threshold } from "../../protocol/calibration.js";
import type { HeadSinks, SinkMap } from "../../protocol/engine.js";
import { ActError } from "../../protocol/errors.js";
import { columnLimit, pickSinks } from "../act.js";

/** The part of a captured prompt that exports need. */
export type SinkData = Pick<SinkMap, "tokens" | "layers" | "heads" | "columnMeans" | "sinks"> & Partial<Pick<SinkMap, "ids" | "next">>;

/** Said wherever attention is shown. */
export const NOT_AN_EXPLANATION =
  "Attention is not an explanation: it shows where a head looks, not why the model answers as it does. A sink draws attention although its token says little.";

/** `not judged`: above the threshold, but too few rows see it, or no more than by its position. */
export type SinkRole = "initial sink" | "sink" | "not judged";

/** @throws ActError where the sizes of `columnMeans` and the rest do not agree. */
export function checkSinkData(data: SinkData): void {
  const expected = data.layers * data.heads * data.tokens.length;
  if (data.columnMeans.length !== expected) {
    throw new ActError(
      "internal",
      `The sink map has ${data.columnMeans.length} column means, but ${data.layers} layers x ${data.heads} heads x ${data.tokens.length} tokens need ${expected}.`,
    );
  }
}

/** Column means of one head, [key]: a view, not a copy. */
export function meansOf(data: SinkData, layer: number, head: number): Float32Array {
  const keys = data.tokens.length;
  const start = (layer * data.heads + head) * keys;
  return data.columnMeans.subarray(start, start + keys);
}

/** What calibration takes for sinks in one head: the rule of core/act.ts, compared in float32 as the engine does. */
export function sinksAt(means: Float32Array, limit: number): Pick<HeadSinks, "exempt" | "positions"> {
  const { exempt, sinks } = pickSinks(means, Math.fround(limit));
  return { exempt, positions: sinks };
}

/** A column mean over fewer rows than this says little about a token: its own row alone gives it much. */
export const LEAST_ROWS = 8;
/** A sink gets at least so many times what even attention would give at its place. */
const TIMES_EVEN = 2;

/** What may be called a sink in a view. `unjudged` lie above the limit as well, but by chance of their position, as far as can be told. */
export interface ViewedSinks extends HeadSinks {
  unjudged: number[];
}

/**
 * The column mean that each key must exceed to be called a sink, [key]. A key is judged where at least `LEAST_ROWS` rows see it; and because in
 * a short prompt even attention (1 / (i + 1) to each key of row i) lies above the limit, it must get `TIMES_EVEN` times that.
 */
export function boundsOf(limit: number, keys: number): Float32Array {
  const bounds = new Float32Array(keys);
  let even = 0;
  for (let key = keys - 1; key >= 0; key--) {
    even += 1 / (key + 1);
    const rows = keys - key;
    bounds[key] = rows < LEAST_ROWS ? Number.POSITIVE_INFINITY : Math.max(limit, (TIMES_EVEN * even) / rows);
  }
  return bounds;
}

/**
 * What a view calls sinks of one head at a limit. Calibration itself also counts the keys that are left unjudged here.
 * @param bounds of `boundsOf`
 */
export function viewedSinks(means: Float32Array, limit: number, bounds: Float32Array): Omit<ViewedSinks, "layer" | "head"> {
  const { exempt, positions } = sinksAt(means, limit);
  const judged = (key: number) => (means[key] as number) > (bounds[key] as number);
  const candidates = exempt === null ? [] : [exempt, ...positions];
  return {
    exempt: exempt !== null && judged(exempt) ? exempt : null,
    positions: positions.filter(judged),
    unjudged: candidates.filter((key) => !judged(key)),
  };
}

/** What a view calls sinks, for every head at a threshold, without asking the engine again. */
export function allSinksAt(data: SinkData, threshold: Threshold): ViewedSinks[] {
  const limit = columnLimit(threshold, data.tokens.length);
  const bounds = boundsOf(limit, data.tokens.length);
  const all: ViewedSinks[] = [];
  for (let layer = 0; layer < data.layers; layer++) {
    for (let head = 0; head < data.heads; head++) all.push({ layer, head, ...viewedSinks(meansOf(data, layer, head), limit, bounds) });
  }
  return all;
}

/**
 * Share (0..1) of all attention of a head that goes to the given keys, averaged over the prompt's rows. A column mean counts only
 * the rows that see its key: of n rows, n - k see key k.
 */
export function massOn(means: Float32Array, keys: readonly number[]): number {
  const rows = means.length;
  let mass = 0;
  for (const key of keys) mass += (means[key] as number) * (rows - key);
  return rows === 0 ? 0 : mass / rows;
}

/** Mass that every head gives to its sinks, [layer][head]; the initial sink counts only where asked for. */
export function sinkMasses(data: SinkData, threshold: Threshold, includeInitial: boolean): Float32Array {
  return Float32Array.from(allSinksAt(data, threshold), ({ layer, head, exempt, positions }) =>
    massOn(meansOf(data, layer, head), includeInitial && exempt !== null ? [exempt, ...positions] : positions),
  );
}

/** Column means averaged over all heads, [key]: how much each token of the prompt is looked at. */
export function averageMeans(data: SinkData): Float32Array {
  const keys = data.tokens.length;
  const heads = data.layers * data.heads;
  const sums = new Float64Array(keys);
  const { columnMeans } = data;
  for (let start = 0; start < columnMeans.length; start += keys) {
    for (let key = 0; key < keys; key++) sums[key] = (sums[key] as number) + (columnMeans[start + key] as number);
  }
  return Float32Array.from(sums, (sum) => sum / Math.max(1, heads));
}

/** Role of each sink of one head, by key. */
export function rolesOf(
  sinks: (Pick<HeadSinks, "exempt" | "positions"> & { unjudged?: readonly number[] }) | undefined,
): Map<number, SinkRole> {
  const roles = new Map<number, SinkRole>();
  if (!sinks) return roles;
  if (sinks.exempt !== null) roles.set(sinks.exempt, "initial sink");
  for (const key of sinks.positions) roles.set(key, "sink");
  for (const key of sinks.unjudged ?? []) roles.set(key, "not judged");
  return roles;
}

/** Looks the recorded sinks of a head up; undefined where the engine recorded none. */
export function sinkIndex(sinks: readonly HeadSinks[]): (layer: number, head: number) => HeadSinks | undefined {
  const byHead = new Map(sinks.map((entry) => [`${entry.layer},${entry.head}`, entry]));
  return (layer, head) => byHead.get(`${layer},${head}`);
}

/** A token's text with its white space made visible, for places where one token stands alone. */
export function visibleToken(text: string): string {
  if (text === "") return "∅";
  return text.replaceAll(" ", "·").replaceAll("\n", "⏎").replaceAll("\t", "⇥").replaceAll("\r", "␍");
}
