import { headToCsv, headToJson, headToPng, headToSvg } from "../../src/core/sinks/head-export.js";
import { csvChunks, jsonChunks, toPng, toSvg } from "../../src/core/sinks/sink-map.js";
import type { HeadMatrix } from "../../src/protocol/engine.js";
import type { EXPORT_FORMATS } from "../../src/protocol/sink-panel.js";
import { stageValues } from "./matrix.js";
import type { ReadModel } from "./model.js";

export type ExportFormat = (typeof EXPORT_FORMATS)[number];

export interface ExportedFile {
  format: ExportFormat;
  /** Proposed file name. */
  name: string;
  bytes: Uint8Array;
}

/** The whole prompt with all heads, or, where `tile` is given, the open head as it stands. */
export function exportFile(format: ExportFormat, model: ReadModel, tile?: HeadMatrix): ExportedFile {
  const { reading, navigation, state } = model;
  const name = tile ? `sinks-layer-${tile.layer}-head-${tile.head}.${format}` : `sinks.${format}`;
  const { tokens } = reading.map;
  const title = `Attention sinks: ${state.label}`;
  if (tile) {
    const write: Record<ExportFormat, () => string | Uint8Array> = {
      csv: () => headToCsv(tile, tokens),
      json: () => headToJson(tile, tokens),
      svg: () => headToSvg(tile, tokens, `Layer ${tile.layer}, head ${tile.head}: ${state.label}`),
      png: () => headToPng(tile, stageValues(tile, navigation.stage === "after" ? "after" : "before", null) ?? tile.values),
    };
    return { format, name, bytes: bytesOf([write[format]()]) };
  }
  const data = { ...reading.map, sinks: [...reading.sinks] };
  const write: Record<ExportFormat, () => Iterable<string | Uint8Array>> = {
    csv: () => csvChunks(data),
    json: () => jsonChunks(data),
    svg: () => [toSvg(data, { threshold: reading.threshold, title })],
    png: () => [toPng(data, { scale: navigation.log ? "log" : "linear" })],
  };
  return { format, name, bytes: bytesOf(write[format]()) };
}

/** One block of bytes without one long string in between. */
function bytesOf(chunks: Iterable<string | Uint8Array>): Uint8Array {
  const encoder = new TextEncoder();
  const parts: Uint8Array[] = [];
  let length = 0;
  for (const chunk of chunks) {
    const part = typeof chunk === "string" ? encoder.encode(chunk) : chunk;
    parts.push(part);
    length += part.length;
  }
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
