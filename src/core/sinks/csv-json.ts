import { checkSinkData, meansOf, rolesOf, type SinkData, sinkIndex } from "./values.js";

/**
 * The shortest decimal that reads back as the same float32 (0.1 and not 0.10000000149011612): what is exported is exactly what was
 * measured, in half the space.
 */
export function shortestFloat32(value: number): string {
  if (!Number.isFinite(value)) return "";
  for (let digits = 6; digits < 9; digits++) {
    const rounded = Number(value.toPrecision(digits));
    if (Math.fround(rounded) === value) return String(rounded);
  }
  return String(Number(value.toPrecision(9)));
}

/** One text per layer: layer,head,key,token,column_mean,role. Chunks, because 32 x 32 heads x 32k tokens are more than one string holds. */
export function* csvChunks(data: SinkData): Generator<string> {
  checkSinkData(data);
  const sinksOf = sinkIndex(data.sinks);
  const tokens = data.tokens.map(csvField);
  yield "layer,head,key,token,column_mean,role\n";
  for (let layer = 0; layer < data.layers; layer++) {
    for (let head = 0; head < data.heads; head++) {
      const roles = rolesOf(sinksOf(layer, head));
      const means = meansOf(data, layer, head);
      let rows = "";
      for (let key = 0; key < tokens.length; key++) {
        rows += `${layer},${head},${key},${tokens[key]},${shortestFloat32(means[key] as number)},${roles.get(key) ?? ""}\n`;
      }
      yield rows;
    }
  }
}

/** A table for other programs, one line per (layer, head, key), RFC 4180. */
export function toCsv(data: SinkData): string {
  return [...csvChunks(data)].join("");
}

/** `{tokens, ids?, layers, heads, columnMeans: [layer][head][key], sinks, next?}` as text, in chunks of one head. */
export function* jsonChunks(data: SinkData): Generator<string> {
  checkSinkData(data);
  const { tokens, ids, layers, heads, sinks, next } = data;
  yield `${JSON.stringify({ tokens, ...(ids && { ids }), layers, heads }).slice(0, -1)},"columnMeans":[`;
  for (let layer = 0; layer < layers; layer++) {
    yield layer === 0 ? "[" : ",[";
    for (let head = 0; head < heads; head++) {
      yield `${head === 0 ? "" : ","}[${Array.from(meansOf(data, layer, head), (mean) => shortestFloat32(mean) || "null").join(",")}]`;
    }
    yield "]";
  }
  yield `],${JSON.stringify({ sinks, ...(next && { next }) }).slice(1)}\n`;
}

export function toJson(data: SinkData): string {
  return [...jsonChunks(data)].join("");
}

/** A field of RFC 4180. */
export function csvField(text: string): string {
  return /[",\r\n]/.test(text) || text !== text.trim() ? `"${text.replaceAll('"', '""')}"` : text;
}
