import { readable } from "../../src/core/picture/scale.js";
import { headToCsv, headToJson, headToSvg } from "../../src/core/sinks/head-export.js";
import { csvChunks, jsonChunks, toSvg } from "../../src/core/sinks/sink-map.js";
import type { HeadMatrix } from "../../src/protocol/engine.js";
import type { EXPORT_FORMATS } from "../../src/protocol/sink-panel.js";
import { placeInSet } from "./heads.js";
import type { ReadModel } from "./model.js";

export type ExportFormat = (typeof EXPORT_FORMATS)[number];

export interface ExportedFile {
  format: ExportFormat;
  /** Proposed file name. */
  name: string;
  bytes: Uint8Array;
}

/** Pixels of the PNG for one of the figure's own: sharp in print at a column's width. */
const PNG_SCALE = 2;

/** The whole prompt with all heads, or, where `tile` is given, the open head as it stands. A PNG is the labelled figure of the SVG as pixels. */
export async function exportFile(format: ExportFormat, model: ReadModel, tile?: HeadMatrix): Promise<ExportedFile> {
  const name = tile ? `sinks-layer-${tile.layer}-head-${tile.head}.${format}` : `sinks.${format}`;
  const { tokens } = model.reading.map;
  const data = { ...model.reading.map, sinks: [...model.reading.sinks] };
  const figure = () =>
    tile ? headToSvg(tile, tokens, labelsOf(model, tile)) : toSvg(data, { threshold: model.reading.threshold, ...labelsOf(model) });
  switch (format) {
    case "csv":
      return { format, name, bytes: bytesOf(tile ? [headToCsv(tile, tokens)] : csvChunks(data)) };
    case "json":
      return { format, name, bytes: bytesOf(tile ? [headToJson(tile, tokens)] : jsonChunks(data)) };
    case "svg":
      return { format, name, bytes: bytesOf([figure()]) };
    case "png":
      return { format, name, bytes: await pixelsOf(figure()) };
  }
}

/** What was measured: prompt, model, head set, threshold. */
function labelsOf({ state, reading }: ReadModel, tile?: HeadMatrix): { title: string; subtitle: string } {
  const set = state.calibration;
  const used = set ? `head set “${set.name}” (${set.heads.length} heads)` : "no head set";
  const place = tile ? placeInSet(set, [tile.layer, tile.head]).trim() : "";
  return {
    title: tile ? `Attention of layer ${tile.layer}, head ${tile.head}` : "Attention sinks",
    subtitle: [state.label, state.model, place || used, `threshold ${readable(reading.limit)}`].filter(Boolean).join(" · "),
  };
}

/** An SVG of ours, drawn by the browser. */
async function pixelsOf(svg: string): Promise<Uint8Array> {
  const url = URL.createObjectURL(new Blob([svg], { type: "image/svg+xml" }));
  try {
    const image = new Image();
    image.src = url;
    await image.decode();
    const canvas = document.createElement("canvas");
    canvas.width = image.naturalWidth * PNG_SCALE;
    canvas.height = image.naturalHeight * PNG_SCALE;
    const context = canvas.getContext("2d") as CanvasRenderingContext2D;
    context.imageSmoothingEnabled = false;
    context.drawImage(image, 0, 0, canvas.width, canvas.height);
    const blob = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, "image/png"));
    if (!blob) throw new Error("The figure is too large to be drawn as a PNG; export an SVG instead.");
    return new Uint8Array(await blob.arrayBuffer());
  } finally {
    URL.revokeObjectURL(url);
  }
}

/** One block of bytes without one long string in between. */
function bytesOf(chunks: Iterable<string>): Uint8Array {
  const encoder = new TextEncoder();
  const parts: Uint8Array[] = [];
  let length = 0;
  for (const chunk of chunks) {
    const part = encoder.encode(chunk);
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
