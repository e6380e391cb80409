/** The door to a captured prompt: the panel and `act sinks --out` read and export it by the same code. */
export { csvChunks, jsonChunks, toCsv, toJson } from "./sink-map-data.js";
export { toHtml } from "./sink-map-html.js";
export { toPixels, toPng } from "./sink-map-pixels.js";
export { toSvg } from "./sink-map-svg.js";
export * from "./sink-map-values.js";
