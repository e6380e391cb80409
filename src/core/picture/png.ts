/**
 * Indexed PNG. The container is written here because no small library writes palettes; fflate compresses, because neither Node's zlib nor a
 * canvas is everywhere: the same bytes leave the panel and the command, and an SVG can carry its raster inside.
 */
import { zlibSync } from "fflate";
import type { Palette } from "./colour.js";

/** One byte per pixel, row-major, each an index into `palette` (at most 256 colours). */
export interface IndexedRaster {
  width: number;
  height: number;
  pixels: Uint8Array;
  palette: Palette;
}

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];

/** @throws RangeError where width x height is not the number of pixels. */
export function encodePng({ width, height, pixels, palette }: IndexedRaster): Uint8Array {
  if (pixels.length !== width * height || width < 1 || height < 1) {
    throw new RangeError(`A picture of ${width} x ${height} pixels cannot be made of ${pixels.length} bytes.`);
  }
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header.set([8, 3, 0, 0, 0], 8); // 8 bits, palette, deflate, no interlace
  return join([
    Uint8Array.from(SIGNATURE),
    chunk("IHDR", header),
    chunk("PLTE", Uint8Array.from(palette.flat())),
    chunk("IDAT", zlibSync(scanlines(width, height, pixels))),
    chunk("IEND", new Uint8Array(0)),
  ]);
}

export function pngDataUri(raster: IndexedRaster): string {
  return `data:image/png;base64,${base64(encodePng(raster))}`;
}

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/** Standard base64 with padding. */
export function base64(bytes: Uint8Array): string {
  const parts: string[] = [];
  for (let start = 0; start < bytes.length; start += 3) {
    const left = bytes.length - start;
    const word =
      ((bytes[start] as number) << 16) |
      ((left > 1 ? (bytes[start + 1] as number) : 0) << 8) |
      (left > 2 ? (bytes[start + 2] as number) : 0);
    parts.push(
      ALPHABET.charAt(word >> 18) +
        ALPHABET.charAt((word >> 12) & 63) +
        (left > 1 ? ALPHABET.charAt((word >> 6) & 63) : "=") +
        (left > 2 ? ALPHABET.charAt(word & 63) : "="),
    );
  }
  return parts.join("");
}

/** Each row behind its filter byte (0: none). */
function scanlines(width: number, height: number, pixels: Uint8Array): Uint8Array {
  const lines = new Uint8Array(height * (width + 1));
  for (let row = 0; row < height; row++) lines.set(pixels.subarray(row * width, (row + 1) * width), row * (width + 1) + 1);
  return lines;
}

function chunk(type: string, data: Uint8Array): Uint8Array {
  const out = new Uint8Array(12 + data.length);
  const view = new DataView(out.buffer);
  view.setUint32(0, data.length);
  for (let index = 0; index < 4; index++) out[4 + index] = type.charCodeAt(index);
  out.set(data, 8);
  view.setUint32(8 + data.length, crc32(out.subarray(4, 8 + data.length)));
  return out;
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value;
});

function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (CRC_TABLE[(crc ^ byte) & 255] as number) ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

function join(parts: Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((total, part) => total + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
