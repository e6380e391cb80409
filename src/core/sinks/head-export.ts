/** One head's attention as a file. A long prompt's matrix is pooled; then each cell names the tokens it covers. Pure. */
import type { HeadMatrix } from "../../protocol/engine.js";
import { cssColour, sequentialPalette, upperTriangleColour } from "../picture/colour.js";
import { type IndexedRaster, pngDataUri } from "../picture/png.js";
import { largest, paletteIndex, type Scale } from "../picture/scale.js";
import { csvField, shortestFloat32 } from "./csv-json.js";
import { colourBar, escapeXml, FIGURE_STYLE, type FigureLabels, heading, labelled } from "./figure.js";
import { NOT_AN_EXPLANATION, visibleToken } from "./values.js";

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

const SIDE = 440;
const LEFT = 110;
const TOP = 78;
/** Labels that fit along one side. */
const MOST_LABELS = 36;
const MOST_LETTERS = 12;

/** The heatmap before calibration, and beside it the one after where the head is calibrated: axes with their tokens, colour bars, what was measured. */
export function headToSvg(matrix: HeadMatrix, tokens: readonly string[], labels: FigureLabels): string {
  const stages: [string, Float32Array][] = [["before calibration", matrix.values]];
  if (matrix.calibrated) stages.push(["after calibration", matrix.calibrated]);
  const each = LEFT + SIDE + 20;
  const width = stages.length * each + 20;
  const height = TOP + SIDE + 190;
  const figures = stages.map(([name, values], index) => stage(matrix, tokens, `(${"ab"[index]}) ${name}`, values, index * each + LEFT));
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" aria-label="${escapeXml(labels.title ?? "")}">
<style>${FIGURE_STYLE}</style>
<rect width="100%" height="100%" fill="#fff"/>
${heading(20, 10, labels).svg}
${figures.join("\n")}
<text x="20" y="${height - 12}" class="note">${escapeXml(NOT_AN_EXPLANATION)}</text>
</svg>
`;
}

function stage(matrix: HeadMatrix, tokens: readonly string[], name: string, values: Float32Array, x: number): string {
  const { rows, columns, pool, rowStart, columnStart } = matrix;
  const bottom = TOP + SIDE;
  const along = (count: number, start: number) =>
    labelled(count, MOST_LABELS).map((cell) => ({ at: ((cell + 0.5) * SIDE) / count, text: tokenLabel(tokens, start + cell * pool) }));
  const down = along(rows, rowStart).map(
    ({ at, text }) => `<text x="${x - 6}" y="${(TOP + at + 3).toFixed(1)}" text-anchor="end" class="small mono">${text}</text>`,
  );
  const across = along(columns, columnStart).map(
    ({ at, text }) =>
      `<text transform="translate(${(x + at + 3).toFixed(1)} ${bottom + 8}) rotate(-90)" text-anchor="end" class="small mono">${text}</text>`,
  );
  const pooled = pool > 1 ? `; each cell is the largest of ${pool} × ${pool}` : "";
  const scale: Scale = { kind: "linear", max: largest(values) };
  return `<text x="${x}" y="${TOP - 10}" class="label">${escapeXml(name)}</text>
<image x="${x}" y="${TOP}" width="${SIDE}" height="${SIDE}" preserveAspectRatio="none" style="image-rendering:pixelated" href="${pngDataUri(headToPixels(matrix, values))}"/>
<rect x="${x}" y="${TOP}" width="${SIDE}" height="${SIDE}" fill="none" stroke="${cssColour([120, 120, 120])}"/>
${down.join("")}${across.join("")}
<text x="${x + SIDE / 2}" y="${bottom + 112}" text-anchor="middle">key: the token that is looked at${pooled}</text>
<text transform="translate(${x - LEFT + 20} ${TOP + SIDE / 2}) rotate(-90)" text-anchor="middle">query: the token that looks</text>
${colourBar(x, bottom + 126, sequentialPalette("light"), scale, "attention")}`;
}

/** "17 ·the": place and text, short enough for an axis. */
function tokenLabel(tokens: readonly string[], at: number): string {
  const letters = [...visibleToken(tokens[at] ?? "")];
  return escapeXml(`${letters.length > MOST_LETTERS ? `${letters.slice(0, MOST_LETTERS - 1).join("")}…` : letters.join("")} ${at}`);
}
