import type { Box } from "./cell-canvas.js";

/** A ring that can be seen on any colour: light within dark or the other way round. */
export function ring(context: CanvasRenderingContext2D, box: Box, line: string, halo: string, width: number): void {
  context.lineWidth = width + 2;
  context.strokeStyle = halo;
  context.strokeRect(box.x, box.y, box.width, box.height);
  context.lineWidth = width;
  context.strokeStyle = line;
  context.strokeRect(box.x, box.y, box.width, box.height);
}
