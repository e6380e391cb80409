import { sequentialPalette, type ThemeKind } from "../picture/colour.js";
import { encodePng, type IndexedRaster } from "../picture/png.js";
import { largest, paletteIndex, type Scale } from "../picture/scale.js";
import { checkSinkData, type SinkData } from "./values.js";

/** Widest picture, in cells; more tokens than this are max-pooled so that no sink is lost. */
const MAX_COLUMNS = 4096;

export interface PixelOptions {
  theme?: ThemeKind;
  scale?: Scale["kind"];
}

/** Column means as a picture: one row per (layer, head), layer 0 on top, one column per key (max-pooled above 4096). One pixel per cell. */
export function toPixels(data: SinkData, { theme = "light", scale = "linear" }: PixelOptions = {}): IndexedRaster {
  checkSinkData(data);
  const keys = data.tokens.length;
  const height = data.layers * data.heads;
  const width = Math.min(keys, MAX_COLUMNS);
  const pooled = maxPool(data.columnMeans, height, keys, width);
  const mapping: Scale = { kind: scale, max: largest(pooled) };
  return {
    width,
    height,
    pixels: Uint8Array.from(pooled, (mean) => Math.max(0, paletteIndex(mean, mapping))),
    palette: sequentialPalette(theme),
  };
}

/** The same as a PNG file; each cell is drawn as a square of whole pixels, so that short prompts are not stamps. */
export function toPng(data: SinkData, options: PixelOptions = {}): Uint8Array {
  const raster = toPixels(data, options);
  return encodePng(enlarge(raster, Math.max(1, Math.min(8, Math.floor(2048 / Math.max(raster.width, raster.height))))));
}

/** Largest value of each group of columns, [rows][width]; group i covers columns floor(i*columns/width) up to the next group's start. */
export function maxPool(values: Float32Array, rows: number, columns: number, width: number): Float32Array {
  if (width === columns) return values;
  const pooled = new Float32Array(rows * width);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const at = row * width + Math.floor((column * width) / columns);
      const value = values[row * columns + column] as number;
      if (value > (pooled[at] as number)) pooled[at] = value;
    }
  }
  return pooled;
}

export function enlarge(raster: IndexedRaster, factor: number): IndexedRaster {
  if (factor === 1) return raster;
  const width = raster.width * factor;
  const height = raster.height * factor;
  const pixels = new Uint8Array(width * height);
  for (let row = 0; row < height; row++) {
    const from = Math.floor(row / factor) * raster.width;
    for (let column = 0; column < width; column++)
      pixels[row * width + column] = raster.pixels[from + Math.floor(column / factor)] as number;
  }
  return { width, height, pixels, palette: raster.palette };
}
