/** Numbers to pixels: one pixel per cell, scaled up by the browser. Pure, so that what is drawn can be tested without a screen. */
import type { Palette, Rgb } from "../../src/core/picture/colour.js";
import { divergingIndex, paletteIndex, type Scale } from "../../src/core/picture/scale.js";

export interface Raster {
  width: number;
  height: number;
  /** RGBA, row-major, width x height x 4 bytes: what ImageData takes. */
  data: Uint8ClampedArray<ArrayBuffer>;
}

export interface Paint {
  palette: Palette;
  scale: Scale;
  /** Values run from -max over 0 to +max. */
  diverging?: boolean;
  /** Colour of NaN (above the diagonal, or not known); null = transparent. */
  missing: Rgb | null;
}

/** @throws RangeError where the sizes disagree. */
export function paintCells(values: ArrayLike<number>, width: number, height: number, paint: Paint): Raster {
  if (values.length !== width * height) throw new RangeError(`${values.length} values do not fill ${width} x ${height} cells.`);
  const pixels = new Uint32Array(width * height);
  const colours = words(paint.palette);
  const missing = paint.missing === null ? 0 : word(paint.missing);
  const index = paint.diverging ? divergingIndex : indexer(paint.scale);
  for (let at = 0; at < pixels.length; at++) {
    const entry = index(values[at] as number, paint.scale);
    pixels[at] = entry < 0 ? missing : (colours[entry] as number);
  }
  return { width, height, data: new Uint8ClampedArray(pixels.buffer) };
}

/** A linear scale without a function call per cell's branches: millions of cells go through here. */
function indexer(scale: Scale): (value: number, scale: Scale) => number {
  if (scale.kind === "log") return paletteIndex;
  const factor = 255 / scale.max;
  return (value) => {
    const at = value * factor;
    if (at >= 255) return 255;
    if (at > 0) return (at + 0.5) | 0;
    return Number.isNaN(at) ? -1 : 0;
  };
}

/** After minus before, cell by cell; NaN where either is. */
export function difference(before: Float32Array, after: Float32Array): Float32Array {
  return before.map((value, index) => (after[index] as number) - value);
}

/** A palette as 32-bit words in this machine's byte order, so that a pixel is one store. */
function words(palette: Palette): Uint32Array {
  return Uint32Array.from(palette, word);
}

function word([red, green, blue]: Rgb): number {
  return new Uint32Array(Uint8Array.of(red, green, blue, 255).buffer)[0] as number;
}
