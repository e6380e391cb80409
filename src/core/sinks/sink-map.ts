/** Everything about a captured prompt: the panel and `act sinks --out` read and export it by the same code. */
export { csvChunks, jsonChunks, toCsv, toJson } from "./csv-json.js";
export { toHtml } from "./html.js";
export { toPixels, toPng } from "./pixels.js";
export { toSvg } from "./svg.js";
export * from "./values.js";
