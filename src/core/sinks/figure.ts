/** What a figure for a paper has besides its picture: a title with what was measured, a colour bar with its ends, axes with their names. SVG text. */
import { cssColour, type Palette } from "../picture/colour.js";
import { place, readable, type Scale, ticks } from "../picture/scale.js";

export interface FigureLabels {
  title?: string;
  /** Under the title: model, head set, prompt. */
  subtitle?: string;
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

export const FIGURE_STYLE =
  'text{font:12px system-ui,sans-serif;fill:#1f1f1f}.mono{font-family:ui-monospace,Menlo,Consolas,"DejaVu Sans Mono",monospace}.title{font:600 17px system-ui,sans-serif}.label{font-weight:600}.note{font-size:11px;fill:#555}.small{font-size:10px}';

/** Title and subtitle, from `top` on. @returns their height */
export function heading(x: number, top: number, { title, subtitle }: FigureLabels): { svg: string; height: number } {
  const lines = [title && `<text x="${x}" y="${top + 18}" class="title">${escapeXml(title)}</text>`];
  if (subtitle) lines.push(`<text x="${x}" y="${top + 38}" class="note">${escapeXml(subtitle)}</text>`);
  return { svg: lines.filter(Boolean).join("\n"), height: (title ? 22 : 0) + (subtitle ? 20 : 0) };
}

const BAR = 160;

/** A colour bar with its numbers and what they count, `height` 34. */
export function colourBar(x: number, top: number, palette: Palette, scale: Scale, counts: string): string {
  const steps = 64;
  const cells = Array.from({ length: steps }, (_, i) => {
    const colour = palette[Math.round((i / (steps - 1)) * 255)] ?? [255, 255, 255];
    return `<rect x="${(x + (i * BAR) / steps).toFixed(2)}" y="${top}" width="${(BAR / steps + 0.3).toFixed(2)}" height="10" fill="${cssColour(colour)}"/>`;
  });
  const numbers = ticks(scale).map((value) => {
    const at = place(value, scale);
    const anchor = at === 0 ? "start" : at === 1 ? "end" : "middle";
    return `<text x="${(x + at * BAR).toFixed(1)}" y="${top + 22}" text-anchor="${anchor}" class="small">${readable(value)}</text>`;
  });
  return `<g class="bar">${cells.join("")}<rect x="${x}" y="${top}" width="${BAR}" height="10" fill="none" stroke="#999" stroke-width="0.5"/>${numbers.join("")}<text x="${x + BAR + 10}" y="${top + 10}" class="small">${escapeXml(counts)}${scale.kind === "log" ? ", log scale" : ""}</text></g>`;
}

/** Places of at most `most` labels along `count` cells, the first and the last among them. */
export function labelled(count: number, most: number): number[] {
  if (count <= most) return Array.from({ length: count }, (_, i) => i);
  const step = Math.ceil((count - 1) / (most - 1));
  const places = Array.from({ length: Math.floor((count - 1) / step) + 1 }, (_, i) => i * step);
  const last = places.at(-1) as number;
  // The last one would stand on its neighbour.
  if (count - 1 - last <= step / 2) places.pop();
  return [...places, ...(last === count - 1 && places.includes(last) ? [] : [count - 1])];
}
