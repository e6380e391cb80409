import type { Threshold } from "../../protocol/calibration.js";
import { cssColour, readableInk, sequentialPalette } from "../picture/colour.js";
import { pngDataUri } from "../picture/png.js";
import { largest, paletteIndex, readable, type Scale } from "../picture/scale.js";
import { colourBar, escapeXml, FIGURE_STYLE, type FigureLabels, heading, labelled } from "./figure.js";
import { toPixels } from "./pixels.js";
import { averageMeans, checkSinkData, NOT_AN_EXPLANATION, type SinkData, sinkMasses, visibleToken } from "./values.js";

const WIDTH = 960;
const MARGIN = 24;
const LINE = 22;
const LETTER = 7.3;
/** Tokens drawn one by one; a longer prompt says how many are left out (the raster and the CSV have all). */
const MAX_TOKENS = 1500;

export interface FigureOptions extends FigureLabels {
  threshold?: Threshold;
}

/** A figure for a paper, with axes and colour bars: prompt tokens by average column mean, layers x heads by sink mass, all column means. */
export function toSvg(
  data: SinkData,
  { threshold = { mode: "fixed", value: 0.1 }, title = "Attention sinks", subtitle }: FigureOptions = {},
): string {
  checkSinkData(data);
  const parts: string[] = [];
  let y = MARGIN;
  const figures = [
    () => heading(MARGIN, y, { title, ...(subtitle && { subtitle }) }),
    () => tokenText(data, y),
    () => massGrid(data, threshold, y),
    () => raster(data, y),
    () => ({ svg: `<text x="${MARGIN}" y="${y + 20}" class="note">${escapeXml(NOT_AN_EXPLANATION)}</text>`, height: 30 }),
  ];
  for (const figure of figures) {
    const { svg, height } = figure();
    parts.push(svg);
    y += height + 18;
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${y}" viewBox="0 0 ${WIDTH} ${y}" role="img" aria-label="${escapeXml(title)}">
<style>${FIGURE_STYLE}</style>
<rect width="100%" height="100%" fill="#fff"/>
${parts.join("\n")}
</svg>
`;
}

interface Drawn {
  svg: string;
  height: number;
}

function tokenText(data: SinkData, top: number): Drawn {
  const palette = sequentialPalette("light");
  const means = averageMeans(data);
  const scale: Scale = { kind: "linear", max: largest(means) };
  const marks: string[] = [];
  let x = MARGIN;
  let y = top + 34;
  data.tokens.slice(0, MAX_TOKENS).forEach((token, key) => {
    const text = visibleToken(token);
    const width = Math.max(1, [...text].length) * LETTER + 3;
    if (x + width > WIDTH - MARGIN && x > MARGIN) {
      x = MARGIN;
      y += LINE;
    }
    const mean = means[key] as number;
    const paper = palette[paletteIndex(mean, scale)] ?? [255, 255, 255];
    marks.push(
      `<g><title>${key}: ${escapeXml(text)} ${readable(mean)}</title><rect x="${x.toFixed(1)}" y="${y - 14}" width="${(width - 1).toFixed(1)}" height="19" rx="2" fill="${cssColour(paper)}"/><text x="${(x + 1.5).toFixed(1)}" y="${y}" class="mono" style="fill:${cssColour(readableInk(paper))}">${escapeXml(text)}</text></g>`,
    );
    x += width;
    if (token.includes("\n")) {
      x = MARGIN;
      y += LINE;
    }
  });
  const left = data.tokens.length - MAX_TOKENS;
  if (left > 0) {
    y += LINE;
    marks.push(`<text x="${MARGIN}" y="${y}" class="note">and ${left} more tokens</text>`);
  }
  return {
    svg: `<text x="${MARGIN}" y="${top + 10}" class="label">(a) Prompt of ${data.tokens.length} tokens</text>\n${marks.join("\n")}\n${colourBar(MARGIN, y + 14, palette, scale, "column mean, averaged over all heads")}`,
    height: y - top + 46,
  };
}

function massGrid(data: SinkData, threshold: Threshold, top: number): Drawn {
  const palette = sequentialPalette("light");
  const masses = sinkMasses(data, threshold, false);
  const scale: Scale = { kind: "linear", max: largest(masses) };
  const cell = Math.max(4, Math.min(22, Math.floor((WIDTH - 2 * MARGIN - 40) / data.layers)));
  const cells: string[] = [];
  for (let layer = 0; layer < data.layers; layer++) {
    for (let head = 0; head < data.heads; head++) {
      const mass = masses[layer * data.heads + head] as number;
      cells.push(
        `<rect x="${MARGIN + 40 + layer * cell}" y="${top + 20 + head * cell}" width="${cell - 1}" height="${cell - 1}" fill="${cssColour(palette[paletteIndex(mass, scale)] ?? [255, 255, 255])}" stroke="#ddd" stroke-width="0.5"><title>layer ${layer}, head ${head}: ${readable(mass)}</title></rect>`,
      );
    }
  }
  const limit = threshold.mode === "fixed" ? `above ${threshold.value}` : `above ${threshold.value} / tokens`;
  const left = MARGIN + 40;
  const bottom = top + 20 + data.heads * cell;
  const heads = labelled(data.heads, Math.max(2, Math.floor((data.heads * cell) / 12))).map(
    (head) => `<text x="${left - 5}" y="${top + 20 + head * cell + cell / 2 + 3}" text-anchor="end" class="small">${head}</text>`,
  );
  const layers = labelled(data.layers, Math.max(2, Math.floor((data.layers * cell) / 22))).map(
    (layer) => `<text x="${left + layer * cell + cell / 2}" y="${bottom + 11}" text-anchor="middle" class="small">${layer}</text>`,
  );
  return {
    svg: `<text x="${MARGIN}" y="${top + 10}" class="label">(b) Attention on later sinks, by layer and head (column mean ${limit}, initial sink left out)</text>
${cells.join("\n")}
${heads.join("")}${layers.join("")}
<text x="${left + (data.layers * cell) / 2}" y="${bottom + 26}" text-anchor="middle">layer</text>
<text transform="translate(${MARGIN + 8} ${top + 20 + (data.heads * cell) / 2}) rotate(-90)" text-anchor="middle">head</text>
${colourBar(left, bottom + 36, palette, scale, "share of a head's attention")}`,
    height: 20 + data.heads * cell + 66,
  };
}

function raster(data: SinkData, top: number): Drawn {
  const picture = toPixels(data, { scale: "log" });
  const height = Math.min(640, Math.max(120, picture.height * 2));
  const left = MARGIN + 40;
  const width = WIDTH - MARGIN - left;
  const bottom = top + 20 + height;
  const layers = labelled(data.layers, Math.floor(height / 24)).map(
    (layer) =>
      `<text x="${left - 5}" y="${(top + 20 + ((layer + 0.5) * height) / data.layers + 3).toFixed(1)}" text-anchor="end" class="small">${layer}</text>`,
  );
  const keys = labelled(data.tokens.length, 12).map(
    (key) =>
      `<text x="${(left + ((key + 0.5) * width) / data.tokens.length).toFixed(1)}" y="${bottom + 12}" text-anchor="middle" class="small">${key}</text>`,
  );
  const scale: Scale = { kind: "log", max: largest(data.columnMeans) };
  return {
    svg: `<text x="${MARGIN}" y="${top + 10}" class="label">(c) Column means of every head: one row per layer and head, one column per token</text>
<image x="${left}" y="${top + 20}" width="${width}" height="${height}" preserveAspectRatio="none" style="image-rendering:pixelated" href="${pngDataUri(picture)}"/>
${layers.join("")}${keys.join("")}
<text x="${left + width / 2}" y="${bottom + 28}" text-anchor="middle">token</text>
<text transform="translate(${MARGIN + 8} ${top + 20 + height / 2}) rotate(-90)" text-anchor="middle">layer</text>
${colourBar(left, bottom + 40, sequentialPalette("light"), scale, "column mean")}`,
    height: height + 92,
  };
}
