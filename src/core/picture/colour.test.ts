import assert from "node:assert/strict";
import { test } from "node:test";
import { contrast, divergingPalette, luminance, type Palette, type Rgb, readableInk, sequentialPalette, type ThemeKind } from "./colour.js";

const THEMES: ThemeKind[] = ["light", "dark", "hc-light", "hc-dark"];

/** Dichromat simulation in linear RGB (Viénot, Brettel & Mollon 1999). */
const DICHROMATS = {
  protanopia: [
    [0.11238, 0.88762, 0],
    [0.11238, 0.88762, 0],
    [0.00401, -0.00401, 1],
  ],
  deuteranopia: [
    [0.29275, 0.70725, 0],
    [0.29275, 0.70725, 0],
    [-0.02234, 0.02234, 1],
  ],
};

function seenBy(matrix: number[][], colour: Rgb): number[] {
  const linear = colour.map((channel) => (channel / 255) ** 2.2);
  return matrix.map(
    (row) =>
      255 *
      Math.max(
        0,
        row.reduce((sum, weight, index) => sum + weight * (linear[index] as number), 0),
      ) **
        (1 / 2.2),
  );
}

function distance(one: readonly number[], other: readonly number[]): number {
  return Math.hypot(...one.map((channel, index) => channel - (other[index] as number)));
}

test("luminance runs one way along every sequential scale", () => {
  for (const theme of THEMES) {
    const steps = sequentialPalette(theme).map(luminance);
    const direction = theme.endsWith("dark") ? 1 : -1;
    for (let index = 8; index < 256; index++) {
      assert.ok(direction * ((steps[index] as number) - (steps[index - 8] as number)) > 0, `${theme} at ${index}`);
    }
  }
});

test("sixteen steps of every scale stay apart for protanopes and deuteranopes", () => {
  for (const [name, matrix] of Object.entries(DICHROMATS)) {
    for (const theme of THEMES) {
      for (const palette of [sequentialPalette(theme), divergingPalette(theme)] as Palette[]) {
        for (let index = 16; index < 256; index += 16) {
          const apart = distance(seenBy(matrix, palette[index] as Rgb), seenBy(matrix, palette[index - 16] as Rgb));
          assert.ok(apart > 6, `${name}, ${theme}, ${index}: ${apart.toFixed(1)}`);
        }
      }
    }
  }
});

test("the two ends of the diverging scale cannot be confused", () => {
  for (const matrix of Object.values(DICHROMATS)) {
    for (const theme of THEMES) {
      const palette = divergingPalette(theme);
      assert.ok(distance(seenBy(matrix, palette[0] as Rgb), seenBy(matrix, palette[255] as Rgb)) > 90, theme);
    }
  }
});

test("ink on any colour of any scale is readable", () => {
  for (const theme of THEMES) {
    for (const paper of [...sequentialPalette(theme), ...divergingPalette(theme)]) assert.ok(contrast(readableInk(paper), paper) >= 4.5);
  }
});
