/**
 * Tiles of a head's attention, fetched for what is on screen. One request is under way at a time; while it is, only the newest wish
 * is remembered. What has arrived is kept up to a bound in cells, so that scrolling through 32k tokens does not fill the memory.
 */
import type { HeadMatrix } from "../../src/protocol/engine.js";
import type { Viewport } from "./viewport.js";

/** Cells along a tile's side that are asked for: more than a screen shows, so pooled cells are about a pixel. */
export const TILE_SIDE = 512;
/** Most cells that are kept (before and after count alike): 8 Mi x 4 bytes. */
const KEPT_CELLS = 8 * 1024 * 1024;

export interface TileWish {
  mapId: string;
  layer: number;
  head: number;
  view: Viewport;
}

export type Fetch = (wish: TileWish) => Promise<HeadMatrix>;

export interface TileEvents {
  arrived(wish: TileWish, tile: HeadMatrix): void;
  failed(wish: TileWish, message: string): void;
}

export class Tiles {
  /** Oldest use first: a Map keeps insertion order. */
  readonly #kept = new Map<string, HeadMatrix>();
  #cells = 0;
  #waiting: TileWish | null = null;
  #running = false;

  constructor(
    private readonly fetch: Fetch,
    private readonly events: TileEvents,
  ) {}

  get cells(): number {
    return this.#cells;
  }

  /** The tile for exactly this wish, if it is here. */
  get(wish: TileWish): HeadMatrix | undefined {
    const key = keyOf(wish);
    const tile = this.#kept.get(key);
    if (tile) {
      this.#kept.delete(key);
      this.#kept.set(key, tile);
    }
    return tile;
  }

  /** Asks for a tile; `arrived` is called with it unless a newer wish came in between (then it is kept silently). */
  want(wish: TileWish): void {
    if (this.get(wish)) {
      this.#waiting = null;
      return;
    }
    this.#waiting = wish;
    if (!this.#running) void this.#run();
  }

  /** Forgets everything, for instance because another prompt is shown. */
  clear(): void {
    this.#kept.clear();
    this.#cells = 0;
    this.#waiting = null;
  }

  async #run(): Promise<void> {
    this.#running = true;
    while (this.#waiting) {
      const wish: TileWish = this.#waiting;
      try {
        const tile = await this.fetch(wish);
        this.#keep(wish, tile);
        if (this.#waiting === wish) this.events.arrived(wish, tile);
      } catch (error) {
        if (this.#waiting === wish) this.events.failed(wish, error instanceof Error ? error.message : String(error));
      }
      if (this.#waiting === wish) this.#waiting = null;
    }
    this.#running = false;
  }

  #keep(wish: TileWish, tile: HeadMatrix): void {
    this.#kept.set(keyOf(wish), tile);
    this.#cells += cellsOf(tile);
    for (const [key, old] of this.#kept) {
      if (this.#cells <= KEPT_CELLS || old === tile) break;
      this.#kept.delete(key);
      this.#cells -= cellsOf(old);
    }
  }
}

function cellsOf(tile: HeadMatrix): number {
  return tile.values.length + (tile.calibrated?.length ?? 0);
}

function keyOf({ mapId, layer, head, view }: TileWish): string {
  return `${mapId} ${layer} ${head} ${view.row} ${view.column} ${view.side}`;
}
