import type { ThemeKind } from "../src/core/picture/colour.js";
import type { Box } from "./cell-canvas.js";

/** Colours of marks over cells: the line, and the halo that keeps it apart from any cell. */
export function inks(theme: ThemeKind): readonly [line: string, halo: string] {
  return theme === "dark" || theme === "hc-dark" ? ["#ffffff", "#000000"] : ["#000000", "#ffffff"];
}

/** A ring that can be seen on any colour: light within dark or the other way round. */
export function ring(context: CanvasRenderingContext2D, box: Box, line: string, halo: string, width: number): void {
  context.lineWidth = width + 2;
  context.strokeStyle = halo;
  context.strokeRect(box.x, box.y, box.width, box.height);
  context.lineWidth = width;
  context.strokeStyle = line;
  context.strokeRect(box.x, box.y, box.width, box.height);
}
