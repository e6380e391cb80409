/** Effects of heads as a picture and as a table: layers across, heads down, orange harms, blue helps. Pure. */
import { cssColour, divergingPalette } from "../picture/colour.js";
import { encodePng } from "../picture/png.js";
import { divergingIndex, largest, readable, type Scale } from "../picture/scale.js";
import { escapeXml } from "../sinks/figure.js";

/** [layer][head] */
export type Effects = readonly (readonly number[])[];

const CELL = 16;
const MARGIN = 24;
const AXIS = 34;

function scaleOf(effects: Effects): Scale {
  return { kind: "linear", max: largest(effects.flat().map(Math.abs)) };
}

export function effectsToPng(effects: Effects): Uint8Array {
  const heads = Math.max(...effects.map(({ length }) => length));
  const scale = scaleOf(effects);
  const width = effects.length * CELL;
  const pixels = new Uint8Array(width * heads * CELL).fill(divergingIndex(0, scale));
  effects.forEach((own, layer) => {
    own.forEach((effect, head) => {
      const colour = divergingIndex(effect, scale);
      for (let y = 0; y < CELL - 1; y++) {
        const start = (head * CELL + y) * width + layer * CELL;
        pixels.fill(colour, start, start + CELL - 1);
      }
    });
  });
  return encodePng({ width, height: heads * CELL, pixels, palette: divergingPalette("light") });
}

export function effectsToSvg(effects: Effects, title: string, subtitle: string): string {
  const heads = Math.max(...effects.map(({ length }) => length));
  const scale = scaleOf(effects);
  const palette = divergingPalette("light");
  const top = MARGIN + 44;
  const width = Math.max(560, 2 * MARGIN + AXIS + effects.length * CELL);
  const height = top + heads * CELL + MARGIN + 14;
  const cells = effects.flatMap((own, layer) =>
    own.map((effect, head) => {
      const fill = cssColour(palette[divergingIndex(effect, scale)] ?? [255, 255, 255]);
      const at = `x="${MARGIN + AXIS + layer * CELL}" y="${top + head * CELL}" width="${CELL - 1}" height="${CELL - 1}"`;
      return `<rect ${at} fill="${fill}" stroke="#ddd" stroke-width="0.5"><title>layer ${layer}, head ${head}: ${readable(effect)}</title></rect>`;
    }),
  );
  const bottom = top + heads * CELL + 16;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" aria-label="${escapeXml(title)}">
<style>text{font:12px system-ui,sans-serif;fill:#1f1f1f}.title{font-weight:600;font-size:16px}.note{fill:#555}</style>
<rect width="100%" height="100%" fill="#fff"/>
<text x="${MARGIN}" y="${MARGIN + 4}" class="title">${escapeXml(title)}</text>
<text x="${MARGIN}" y="${MARGIN + 22}" class="note">${escapeXml(subtitle)}; blue helps, orange harms, full colour at ${readable(scale.max)}</text>
<text x="${MARGIN}" y="${top + 11}">head</text>
${cells.join("\n")}
<text x="${MARGIN + AXIS}" y="${bottom}">layer 0</text><text x="${MARGIN + AXIS + effects.length * CELL}" y="${bottom}" text-anchor="end">${effects.length - 1}</text>
</svg>
`;
}

export function effectsToCsv(effects: Effects): string {
  const lines = effects.flatMap((own, layer) => own.map((effect, head) => `${layer},${head},${effect}`));
  return `layer,head,effect\n${lines.join("\n")}\n`;
}
