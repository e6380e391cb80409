/** From a pointer or a key press to a cell. Pure. */

export interface Cell {
  row: number;
  column: number;
}

export interface Size {
  rows: number;
  columns: number;
}

/** The cell under a point of a box that shows rows x columns cells of equal size; null outside. `x`, `y` from the box's corner, any unit. */
export function cellAt(x: number, y: number, width: number, height: number, { rows, columns }: Size): Cell | null {
  if (!(x >= 0 && y >= 0 && x < width && y < height) || rows < 1 || columns < 1) return null;
  return {
    row: Math.min(rows - 1, Math.floor((y / height) * rows)),
    column: Math.min(columns - 1, Math.floor((x / width) * columns)),
  };
}

/** Where a key leads from a cell: arrows by one, page keys by ten rows, Home and End along the row, with Ctrl to the corners. Null for other keys. */
export function stepTo(from: Cell, key: string, ctrl: boolean, { rows, columns }: Size): Cell | null {
  const step = STEPS[key];
  if (step) return { row: clamp(from.row + step[0], 0, rows - 1), column: clamp(from.column + step[1], 0, columns - 1) };
  if (key === "Home") return { row: ctrl ? 0 : from.row, column: 0 };
  if (key === "End") return { row: ctrl ? rows - 1 : from.row, column: columns - 1 };
  return null;
}

const STEPS: Record<string, readonly [number, number]> = {
  ArrowUp: [-1, 0],
  ArrowDown: [1, 0],
  ArrowLeft: [0, -1],
  ArrowRight: [0, 1],
  PageUp: [-10, 0],
  PageDown: [10, 0],
};

export function clamp(value: number, least: number, most: number): number {
  return Math.max(least, Math.min(most, value));
}
