import type { Threshold } from "../../protocol/calibration.js";
import { cssColour, readableInk, sequentialPalette } from "../picture/colour.js";
import { pngDataUri } from "../picture/png.js";
import { largest, paletteIndex, readable, type Scale } from "../picture/scale.js";
import { toPixels } from "./pixels.js";
import { averageMeans, checkSinkData, NOT_AN_EXPLANATION, type SinkData, sinkMasses, visibleToken } from "./values.js";

const WIDTH = 960;
const MARGIN = 24;
const LINE = 22;
const LETTER = 7.3;
/** Tokens drawn one by one; a longer prompt says how many are left out (the raster and the CSV have all). */
const MAX_TOKENS = 1500;

export interface FigureOptions {
  threshold?: Threshold;
  title?: string;
}

/** A figure for a paper: prompt tokens coloured by average column mean, layers x heads by sink mass, and the raster of all column means. */
export function toSvg(
  data: SinkData,
  { threshold = { mode: "fixed", value: 0.1 }, title = "Attention sinks" }: FigureOptions = {},
): string {
  checkSinkData(data);
  const parts: string[] = [];
  let y = MARGIN + 18;
  parts.push(`<text x="${MARGIN}" y="${y}" class="title">${escapeXml(title)}</text>`);
  y += 14;
  const figures = [
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
<style>text{font:12px ui-monospace,Menlo,Consolas,"DejaVu Sans Mono",monospace;fill:#1f1f1f}.title{font:600 17px system-ui,sans-serif}.label{font:600 12px system-ui,sans-serif}.note{font:11px system-ui,sans-serif;fill:#555}</style>
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
      `<g><title>${key}: ${escapeXml(text)} ${readable(mean)}</title><rect x="${x.toFixed(1)}" y="${y - 14}" width="${(width - 1).toFixed(1)}" height="19" rx="2" fill="${cssColour(paper)}"/><text x="${(x + 1.5).toFixed(1)}" y="${y}" style="fill:${cssColour(readableInk(paper))}">${escapeXml(text)}</text></g>`,
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
    svg: `<text x="${MARGIN}" y="${top + 10}" class="label">Prompt, ${data.tokens.length} tokens, coloured by column mean (average over all heads, 0 to ${readable(scale.max)})</text>\n${marks.join("\n")}`,
    height: y - top + 10,
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
  const height = 20 + data.heads * cell + 20;
  return {
    svg: `<text x="${MARGIN}" y="${top + 10}" class="label">Attention mass on later sinks (column mean ${limit}, initial sink left out), 0 to ${readable(scale.max)}</text>
<text x="${MARGIN}" y="${top + 32}">head</text>
${cells.join("\n")}
<text x="${MARGIN + 40}" y="${top + height}">layer 0</text><text x="${MARGIN + 40 + data.layers * cell}" y="${top + height}" text-anchor="end">${data.layers - 1}</text>`,
    height,
  };
}

function raster(data: SinkData, top: number): Drawn {
  const picture = toPixels(data, { scale: "log" });
  const height = Math.min(640, Math.max(120, picture.height * 2));
  return {
    svg: `<text x="${MARGIN}" y="${top + 10}" class="label">Column means of every head: one row per (layer, head), one column per token; log scale</text>
<image x="${MARGIN}" y="${top + 20}" width="${WIDTH - 2 * MARGIN}" height="${height}" preserveAspectRatio="none" style="image-rendering:pixelated" href="${pngDataUri(picture)}"/>`,
    height: height + 24,
  };
}

/** Text for XML: its five marks escaped; control characters and halves of surrogate pairs, which XML forbids, made visible. */
export function escapeXml(text: string): string {
  return text
    .replace(/[^\P{Cc}\t\n\r]|\p{Cs}|[\ufffe\uffff]/gu, "\ufffd")
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;")
    .replaceAll("'", "&apos;");
}
