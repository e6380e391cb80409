/** Which rows (queries) and columns (keys) of a head's n x n attention are on screen. Pure. */
import { clamp } from "./hit.js";

/** Half-open ranges of tokens, always of equal length: cells are squares. */
export interface Viewport {
  row: number;
  column: number;
  /** Tokens shown along each side. */
  side: number;
}

/** Fewest tokens on screen. */
export const CLOSEST = 8;

export function whole(tokens: number): Viewport {
  return { row: 0, column: 0, side: tokens };
}

/** Shows `factor` times as many tokens, with the point at (x, y), 0..1 of the picture, staying where it is. */
export function zoom(view: Viewport, factor: number, x: number, y: number, tokens: number): Viewport {
  const side = clamp(Math.round(view.side * factor), Math.min(CLOSEST, tokens), tokens);
  return inside(
    { side, row: Math.round(view.row + (view.side - side) * y), column: Math.round(view.column + (view.side - side) * x) },
    tokens,
  );
}

/** Moves by tokens. */
export function pan(view: Viewport, rows: number, columns: number, tokens: number): Viewport {
  return inside({ ...view, row: view.row + Math.round(rows), column: view.column + Math.round(columns) }, tokens);
}

/** The nearest viewport of the same size that shows this cell. */
export function reveal(view: Viewport, row: number, column: number, tokens: number): Viewport {
  const near = (start: number, at: number) => clamp(start, at - view.side + 1, at);
  return inside({ ...view, row: near(view.row, row), column: near(view.column, column) }, tokens);
}

export function isWhole(view: Viewport, tokens: number): boolean {
  return view.side >= tokens;
}

export function sameView(one: Viewport, other: Viewport): boolean {
  return one.row === other.row && one.column === other.column && one.side === other.side;
}

function inside(view: Viewport, tokens: number): Viewport {
  const side = Math.min(view.side, tokens);
  return { side, row: clamp(view.row, 0, tokens - side), column: clamp(view.column, 0, tokens - side) };
}
