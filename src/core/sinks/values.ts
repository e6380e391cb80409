/**
 * What can be read from a captured prompt without asking the engine again: sinks at any threshold, the mass a head gives to them,
 * how much the prompt's tokens are looked at.
 */
import type { Threshold } from "../../protocol/calibration.js";
import type { HeadSinks, SinkMap } from "../../protocol/engine.js";
import { ActError } from "../../protocol/errors.js";

/** The part of a captured prompt that exports need. */
export type SinkData = Pick<SinkMap, "tokens" | "layers" | "heads" | "columnMeans" | "sinks"> & Partial<Pick<SinkMap, "ids" | "next">>;

/** Said wherever attention is shown. */
export const NOT_AN_EXPLANATION =
  "Attention is not an explanation: it shows where a head looks, not why the model answers as it does. A sink draws attention although its token says little.";

export type SinkRole = "initial sink" | "sink";

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

/** The column mean above which a key is a sink candidate; `keys` = keys visible to the last row. */
export function limitOf(threshold: Threshold, keys: number): number {
  return threshold.mode === "fixed" ? threshold.value : threshold.value / Math.max(1, keys);
}

/** The published rule for one head: candidates are strictly above the limit (compared in float32, as the engine does), the lowest of them is the initial sink and exempt. */
export function sinksAt(means: Float32Array, limit: number): Pick<HeadSinks, "exempt" | "positions"> {
  const bound = Math.fround(limit);
  let exempt: number | null = null;
  const positions: number[] = [];
  for (let key = 0; key < means.length; key++) {
    if (!((means[key] as number) > bound)) continue;
    if (exempt === null) exempt = key;
    else positions.push(key);
  }
  return { exempt, positions };
}

/** Sinks of every head at a threshold, without asking the engine again. */
export function allSinksAt(data: SinkData, threshold: Threshold): HeadSinks[] {
  const limit = limitOf(threshold, data.tokens.length);
  const all: HeadSinks[] = [];
  for (let layer = 0; layer < data.layers; layer++) {
    for (let head = 0; head < data.heads; head++) all.push({ layer, head, ...sinksAt(meansOf(data, layer, head), limit) });
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
  const limit = limitOf(threshold, data.tokens.length);
  const masses = new Float32Array(data.layers * data.heads);
  for (let layer = 0; layer < data.layers; layer++) {
    for (let head = 0; head < data.heads; head++) {
      const means = meansOf(data, layer, head);
      const { exempt, positions } = sinksAt(means, limit);
      const keys = includeInitial && exempt !== null ? [exempt, ...positions] : positions;
      masses[layer * data.heads + head] = massOn(means, keys);
    }
  }
  return masses;
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
export function rolesOf(sinks: Pick<HeadSinks, "exempt" | "positions"> | undefined): Map<number, SinkRole> {
  const roles = new Map<number, SinkRole>();
  if (!sinks) return roles;
  if (sinks.exempt !== null) roles.set(sinks.exempt, "initial sink");
  for (const key of sinks.positions) roles.set(key, "sink");
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
