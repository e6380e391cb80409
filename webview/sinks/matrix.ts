/** One head's attention as it comes from the engine (pooled where the prompt is long), read and prepared for drawing. Pure. */
import { readable } from "../../src/core/picture/scale.js";
import type { HeadMatrix, SinkMap } from "../../src/protocol/engine.js";
import type { Area } from "../cell-canvas.js";
import type { Cell } from "../paint/hit.js";
import { difference } from "../paint/raster.js";
import { tokenName } from "./model.js";
import type { Stage } from "./navigation.js";

/** The tokens that a tile covers; its last row and column may reach beyond the prompt's end. */
export function areaOf(tile: HeadMatrix): Area {
  return { row: tile.rowStart, column: tile.columnStart, rows: tile.rows * tile.pool, columns: tile.columns * tile.pool };
}

/** Values of one stage, row-major; null where the head is not calibrated and so has no "after". A hidden key's column becomes NaN. */
export function stageValues(tile: HeadMatrix, stage: Stage, hiddenKey: number | null): Float32Array | null {
  if (stage !== "before" && !tile.calibrated) return null;
  const values =
    stage === "before"
      ? tile.values
      : stage === "after"
        ? (tile.calibrated as Float32Array)
        : difference(tile.values, tile.calibrated as Float32Array);
  const column = hiddenKey === null ? -1 : Math.floor((hiddenKey - tile.columnStart) / tile.pool);
  if (column < 0 || column >= tile.columns) return values;
  const shown = values === tile.values || values === tile.calibrated ? values.slice() : values;
  for (let row = 0; row < tile.rows; row++) shown[row * tile.columns + column] = Number.NaN;
  return shown;
}

export interface CellReading {
  /** Tokens that the cell covers: [start, end) of queries and keys. */
  queries: [number, number];
  keys: [number, number];
  /** Largest attention in the cell; NaN above the diagonal. */
  before: number;
  after: number | null;
}

/** The cell of a tile that holds (query, key); null outside the tile. */
export function readCell(tile: HeadMatrix, { row, column }: Cell, tokens: number): CellReading | null {
  const tileRow = Math.floor((row - tile.rowStart) / tile.pool);
  const tileColumn = Math.floor((column - tile.columnStart) / tile.pool);
  if (tileRow < 0 || tileColumn < 0 || tileRow >= tile.rows || tileColumn >= tile.columns) return null;
  const at = tileRow * tile.columns + tileColumn;
  const span = (start: number, index: number): [number, number] => [
    start + index * tile.pool,
    Math.min(tokens, start + (index + 1) * tile.pool),
  ];
  return {
    queries: span(tile.rowStart, tileRow),
    keys: span(tile.columnStart, tileColumn),
    before: tile.values[at] as number,
    after: tile.calibrated ? (tile.calibrated[at] as number) : null,
  };
}

/** "Query “·the” (17) looks at key “<bos>” (0): 0.412; after calibration 0.165 (-0.247)." */
export function describeCell(map: SinkMap, reading: CellReading, hiddenKey: number | null): string {
  const { queries, keys, before, after } = reading;
  const pooled = queries[1] - queries[0] > 1 || keys[1] - keys[0] > 1;
  const name = ([start, end]: [number, number], word: string, words: string) =>
    end - start > 1 ? `${words} ${tokenName(map, start)} to ${tokenName(map, end - 1)}` : `${word} ${tokenName(map, start)}`;
  const query = name(queries, "query", "queries");
  const place = `${query.charAt(0).toUpperCase()}${query.slice(1)}, ${name(keys, "key", "keys")}`;
  if (Number.isNaN(before)) return `${place}: none, a query cannot look at a later key.`;
  if (hiddenKey !== null && hiddenKey >= keys[0] && hiddenKey < keys[1]) return `${place}: the initial sink, hidden.`;
  const change =
    after === null
      ? ""
      : `; after calibration ${after === before ? "the same" : `${readable(after)} (${after > before ? "+" : "−"}${readable(Math.abs(after - before))})`}`;
  return `${place}: ${readable(before)}${change}${pooled ? ", the largest of these" : ""}.`;
}
