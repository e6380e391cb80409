/** One head's attention as a file. A long prompt's matrix is pooled; then each cell names the tokens it covers. Pure. */
import type { HeadMatrix } from "../../protocol/engine.js";
import { cssColour, sequentialPalette, upperTriangleColour } from "../picture/colour.js";
import { encodePng, type IndexedRaster, pngDataUri } from "../picture/png.js";
import { largest, paletteIndex, readable, type Scale } from "../picture/scale.js";
import { csvField, shortestFloat32 } from "./csv-json.js";
import { enlarge } from "./pixels.js";
import { escapeXml } from "./svg.js";
import { NOT_AN_EXPLANATION } from "./values.js";

/** The upper triangle has the last place of the picture's palette; the scale keeps the 255 below it. */
const UPPER = 255;

/** query,key,query_token,key_token,before,after: one line per cell on or below the diagonal; of a pooled cell the first query and key. */
export function headToCsv(matrix: HeadMatrix, tokens: readonly string[]): string {
  const { rows, columns, pool, rowStart, columnStart, values, calibrated } = matrix;
  const fields = tokens.map(csvField);
  const lines = [`query,key,query_token,key_token,before,after${pool > 1 ? `,pooled_${pool}x${pool}` : ""}`];
  for (let row = 0; row < rows; row++) {
    const query = rowStart + row * pool;
    for (let column = 0; column < columns; column++) {
      const at = row * columns + column;
      const before = values[at] as number;
      if (Number.isNaN(before)) continue;
      const key = columnStart + column * pool;
      const after = calibrated ? shortestFloat32(calibrated[at] as number) : "";
      lines.push(
        `${query},${key},${fields[query] ?? ""},${fields[key] ?? ""},${shortestFloat32(before)},${after}${pool > 1 ? ",max" : ""}`,
      );
    }
  }
  return `${lines.join("\n")}\n`;
}

/** `{layer, head, rows, columns, pool, rowStart, columnStart, tokens, values: [row][column], calibrated}`; null above the diagonal. */
export function headToJson(matrix: HeadMatrix, tokens: readonly string[]): string {
  const nested = (values: Float32Array) =>
    Array.from({ length: matrix.rows }, (_, row) =>
      Array.from(values.subarray(row * matrix.columns, (row + 1) * matrix.columns), (value) =>
        Number.isNaN(value) ? null : Number(shortestFloat32(value)),
      ),
    );
  const { layer, head, rows, columns, pool, rowStart, columnStart, values, calibrated } = matrix;
  return `${JSON.stringify({
    layer,
    head,
    rows,
    columns,
    pool,
    rowStart,
    columnStart,
    tokens,
    values: nested(values),
    calibrated: calibrated && nested(calibrated),
  })}\n`;
}

/** One pixel per cell, queries down and keys across. */
export function headToPixels(matrix: HeadMatrix, values: Float32Array = matrix.values): IndexedRaster {
  const scale: Scale = { kind: "linear", max: largest(values) };
  const palette = [...sequentialPalette("light").slice(0, UPPER), upperTriangleColour("light")];
  const pixels = Uint8Array.from(values, (value) => {
    const index = paletteIndex(value, scale);
    return index < 0 ? UPPER : Math.min(UPPER - 1, index);
  });
  return { width: matrix.columns, height: matrix.rows, pixels, palette };
}

export function headToPng(matrix: HeadMatrix, values?: Float32Array): Uint8Array {
  const raster = headToPixels(matrix, values);
  return encodePng(enlarge(raster, Math.max(1, Math.min(16, Math.floor(1024 / Math.max(raster.width, raster.height))))));
}

/** The heatmap before calibration, and beside it the one after where the head is calibrated. */
export function headToSvg(matrix: HeadMatrix, tokens: readonly string[], title: string): string {
  const side = 440;
  const stages: [string, Float32Array][] = [["before calibration", matrix.values]];
  if (matrix.calibrated) stages.push(["after calibration", matrix.calibrated]);
  const width = 40 + stages.length * (side + 30);
  const figures = stages.map(([name, values], index) => {
    const x = 40 + index * (side + 30);
    return `<text x="${x}" y="64">${escapeXml(name)}, 0 to ${readable(largest(values))}</text>
<image x="${x}" y="74" width="${side}" height="${side}" preserveAspectRatio="none" style="image-rendering:pixelated" href="${pngDataUri(headToPixels(matrix, values))}"/>
<rect x="${x}" y="74" width="${side}" height="${side}" fill="none" stroke="${cssColour([120, 120, 120])}"/>
<text x="${x}" y="${side + 92}">key 0 … ${tokens.length - 1}; query 0 at the top${matrix.pool > 1 ? `; each cell the largest of ${matrix.pool} × ${matrix.pool}` : ""}</text>`;
  });
  const height = side + 130;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" aria-label="${escapeXml(title)}">
<style>text{font:12px system-ui,sans-serif;fill:#1f1f1f}.title{font:600 17px system-ui,sans-serif}.note{font-size:11px;fill:#555}</style>
<rect width="100%" height="100%" fill="#fff"/>
<text x="40" y="34" class="title">${escapeXml(title)}</text>
${figures.join("\n")}
<text x="40" y="${height - 12}" class="note">${escapeXml(NOT_AN_EXPLANATION)}</text>
</svg>
`;
}
