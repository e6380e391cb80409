import { divergingPalette, sequentialPalette, upperTriangleColour } from "../../src/core/picture/colour.js";
import { robustMax, type Scale } from "../../src/core/picture/scale.js";
import type { Head } from "../../src/protocol/calibration.js";
import type { HeadMatrix } from "../../src/protocol/engine.js";
import { CellCanvas, imageOf, type Picture } from "../cell-canvas.js";
import { button, dropdown } from "../controls.js";
import { h } from "../dom.js";
import { Legend } from "../legend.js";
import { type Cell, stepTo } from "../paint/hit.js";
import { paintCells } from "../paint/raster.js";
import { type Fetch, Tiles, type TileWish } from "../paint/tiles.js";
import { isWhole, pan, reveal, type Viewport, whole, zoom } from "../paint/viewport.js";
import { inks, ring } from "../ring.js";
import { Columns } from "./columns.js";
import { areaOf, describeCell, readCell, stageValues } from "./matrix.js";
import type { ReadModel } from "./model.js";
import type { SinkNavigation, Stage } from "./navigation.js";

export interface HeadViewOptions {
  fetch: Fetch;
  change(patch: Partial<SinkNavigation>): void;
  /** Tokens of the cell under the pointer. */
  onMark(keys: readonly number[]): void;
}

/** One head in full: its column means as bars and its attention as a heatmap, queries down and keys across. */
export class HeadView {
  readonly element: HTMLElement;
  readonly #title = h("h2", { id: "head-title" });
  readonly #hint = h("p", { class: "quiet", role: "status" });
  readonly #readout = h("p", { class: "readout", id: "cell-readout", "aria-live": "polite" });
  readonly #legend = new Legend();
  readonly #columns = new Columns();
  readonly #canvas: CellCanvas;
  readonly #stage: ReturnType<typeof dropdown>;
  readonly #body: HTMLElement;
  readonly #tiles: Tiles;
  #model: ReadModel | null = null;
  #hovered: Cell | null = null;
  #failure: string | null = null;
  #painted = new WeakMap<HeadMatrix, { key: string; image: HTMLCanvasElement }>();
  #mapId = "";

  constructor(private readonly options: HeadViewOptions) {
    this.#tiles = new Tiles(options.fetch, {
      arrived: () => this.#redraw(),
      failed: (_, message) => {
        this.#failure = message;
        this.#redraw();
      },
    });
    this.#canvas = new CellCanvas({
      label:
        "Attention of the open head, queries down, keys across. Arrow keys move, Enter locks the reading, Escape unlocks, plus and minus zoom, 0 shows all.",
      name: "heatmap",
      onHover: (cell) => this.#hover(cell),
      onPick: (cell) => options.change({ lock: this.#model?.navigation.lock ? null : cell }),
      onKey: (event) => this.#key(event),
      onWheel: (event, x, y) => this.#zoom(event.deltaY > 0 ? 1.25 : 0.8, x, y),
      onDrag: (rows, columns) => this.#go((view, tokens) => pan(view, rows, columns, tokens)),
      overlay: (context, boxOf) => this.#overlay(context, boxOf),
    });
    this.#canvas.describedBy("cell-readout");
    const stages: { value: Stage; label: string }[] = [
      { value: "before", label: "Before calibration" },
      { value: "after", label: "After calibration" },
      { value: "difference", label: "Difference" },
    ];
    this.#stage = dropdown("Stage", stages, "before", (value) => options.change({ stage: value as Stage }), "stage");
    this.#body = h(
      "div",
      { class: "head-body" },
      this.#columns.element,
      this.#canvas.element,
      this.#readout,
      h(
        "div",
        { class: "row spread" },
        this.#legend.element,
        h(
          "div",
          { class: "row" },
          button("−", () => this.#zoom(2), { look: "secondary", title: "Zoom out", name: "zoom-out" }),
          button("+", () => this.#zoom(0.5), { look: "secondary", title: "Zoom in", name: "zoom-in" }),
          button("All", () => this.#go((_, tokens) => whole(tokens)), { title: "All of the prompt", name: "zoom-all" }),
        ),
      ),
    );
    this.element = h(
      "section",
      { class: "head", "aria-labelledby": "head-title" },
      h("div", { class: "row spread" }, this.#title, this.#stage),
      this.#hint,
      this.#body,
    );
  }

  update(model: ReadModel): void {
    const { navigation, reading } = model;
    if (this.#mapId !== reading.map.id) {
      this.#mapId = reading.map.id;
      this.#tiles.clear();
    }
    const before = this.#model?.navigation.head;
    if (before?.[0] !== navigation.head?.[0] || before?.[1] !== navigation.head?.[1]) {
      this.#failure = null;
      this.#hovered = null;
    }
    this.#model = model;
    if (this.#stage.value !== navigation.stage) this.#stage.value = navigation.stage;
    this.#redraw();
  }

  /** Column range of a token of the prompt under the pointer elsewhere: shown as a band. */
  band(key: number | null): void {
    this.#hovered = null;
    this.#band = key;
    this.#canvas.redrawMarks();
  }
  #band: number | null = null;

  /** Tile of the whole prompt, for exports; undefined while it is not here. */
  wholeTile(): HeadMatrix | undefined {
    const model = this.#model;
    const head = model?.navigation.head;
    return model && head ? this.#tiles.get(this.#wish(model, head, whole(model.reading.map.tokens.length))) : undefined;
  }

  #redraw(): void {
    const model = this.#model;
    if (!model) return;
    const { reading, navigation } = model;
    const head = navigation.head;
    this.#body.hidden = head === null;
    this.#stage.hidden = head === null;
    if (!head) {
      this.#title.textContent = "One head";
      this.#hint.textContent = "Choose a head in the grid to see every query and key of it.";
      return;
    }
    const tokens = reading.map.tokens.length;
    const view = this.#view(model);
    this.#title.textContent = `Layer ${head[0]}, head ${head[1]}`;
    this.#columns.update(model, view);

    const all = this.#want(model, head, whole(tokens));
    const detail = all && all.pool > 1 && !isWhole(view, tokens) ? this.#want(model, head, view) : undefined;
    const tiles = [all, detail].filter((tile) => tile !== undefined);
    const calibrated = all?.calibrated != null;
    const stage = all && !calibrated ? "before" : navigation.stage;
    this.#hint.textContent = this.#explain(model, tiles.length > 0, calibrated, detail ?? all);

    const scale = this.#scale(all, stage);
    const pictures = tiles.map((tile) => this.#paint(tile, stage, scale));
    const area = { row: view.row, column: view.column, rows: view.side, columns: view.side };
    this.#canvas.show(area, pictures);
    this.#updateLegend(stage, scale);
    this.#tell();
  }

  #explain({ navigation, state }: ReadModel, ready: boolean, calibrated: boolean, tile: HeadMatrix | undefined): string {
    if (this.#failure) return this.#failure;
    if (!ready) return "Asking the engine for this head…";
    const pooled = tile && tile.pool > 1 ? `Each cell is the largest of ${tile.pool} × ${tile.pool} tokens; zoom in for more. ` : "";
    if (calibrated) return pooled;
    const why = state.calibration ? "This head is not in the head set" : "There is no head set for this prompt";
    return navigation.stage === "before" ? pooled : `${pooled}${why}, so before and after are the same.`;
  }

  /** Asks for a tile unless it is here. */
  #want(model: ReadModel, head: Head, view: Viewport): HeadMatrix | undefined {
    const wish = this.#wish(model, head, view);
    const tile = this.#tiles.get(wish);
    if (!tile && !this.#failure) this.#tiles.want(wish);
    return tile;
  }

  #wish(model: ReadModel, [layer, head]: Head, view: Viewport): TileWish {
    return { mapId: model.reading.map.id, layer, head, view };
  }

  #view({ navigation, reading }: ReadModel): Viewport {
    const tokens = reading.map.tokens.length;
    return navigation.view && navigation.view.side <= tokens ? pan(navigation.view, 0, 0, tokens) : whole(tokens);
  }

  #hiddenKey(): number | null {
    const model = this.#model;
    if (!model?.navigation.hideInitial || !model.navigation.head) return null;
    return model.reading.sinksOf(model.navigation.head).exempt;
  }

  #scale(all: HeadMatrix | undefined, stage: Stage): Scale {
    const kind = this.#model?.navigation.log ? "log" : "linear";
    if (!all) return { kind, max: 1 };
    const values = stageValues(all, stage, this.#hiddenKey());
    if (!values) return { kind, max: 1 };
    return { kind, max: robustMax(stage === "difference" ? values.map(Math.abs) : values) };
  }

  #paint(tile: HeadMatrix, stage: Stage, scale: Scale): Picture {
    const theme = this.#model?.theme ?? "dark";
    const hidden = this.#hiddenKey();
    const key = `${theme} ${stage} ${scale.kind} ${scale.max} ${hidden}`;
    const known = this.#painted.get(tile);
    if (known?.key === key) return { image: known.image, area: areaOf(tile) };
    const diverging = stage === "difference";
    const palette = diverging ? divergingPalette(theme) : sequentialPalette(theme);
    const values = stageValues(tile, stage, hidden) ?? tile.values;
    const image = imageOf(paintCells(values, tile.columns, tile.rows, { palette, scale, diverging, missing: upperTriangleColour(theme) }));
    this.#painted.set(tile, { key, image });
    return { image, area: areaOf(tile) };
  }

  #updateLegend(stage: Stage, scale: Scale): void {
    const theme = this.#model?.theme ?? "dark";
    const diverging = stage === "difference";
    const others = [{ colour: upperTriangleColour(theme), label: this.#hiddenKey() === null ? "later key" : "later key, or hidden" }];
    const palette = diverging ? divergingPalette(theme) : sequentialPalette(theme);
    this.#legend.update({ title: diverging ? "After minus before" : "Attention", palette, scale, diverging, others, clipped: true });
  }

  #hover(cell: Cell | null): void {
    this.#band = null;
    this.#hovered = cell;
    this.#canvas.redrawMarks();
    this.#tell();
  }

  #tell(): void {
    const model = this.#model;
    const head = model?.navigation.head;
    if (!model || !head) return;
    const { lock } = model.navigation;
    const cell = lock ?? this.#hovered;
    const reading = cell && this.#read(model, head, cell);
    this.#readout.classList.toggle("locked", lock !== null);
    this.#readout.textContent = reading
      ? `${lock ? "Locked. " : ""}${describeCell(model.reading.map, reading, this.#hiddenKey())}`
      : "Point at a cell to read it; click to lock the reading.";
    this.options.onMark(reading && reading.keys[1] - reading.keys[0] === 1 ? [reading.queries[0], reading.keys[0]] : []);
  }

  #read(model: ReadModel, head: Head, cell: Cell) {
    const tokens = model.reading.map.tokens.length;
    for (const view of [this.#view(model), whole(tokens)]) {
      const tile = this.#tiles.get(this.#wish(model, head, view));
      const reading = tile && readCell(tile, cell, tokens);
      if (reading) return reading;
    }
    return null;
  }

  #key(event: KeyboardEvent): boolean {
    const model = this.#model;
    if (!model) return false;
    const { lock } = model.navigation;
    const tokens = model.reading.map.tokens.length;
    const cursor = lock ?? this.#hovered ?? { row: this.#view(model).row, column: this.#view(model).column };
    const next = stepTo(cursor, event.key, event.ctrlKey, { rows: tokens, columns: tokens });
    if (next) {
      const view = reveal(this.#view(model), next.row, next.column, tokens);
      this.#hovered = next;
      this.options.change({ view, lock: lock ? next : null });
      return true;
    }
    if (event.key === "Enter" || event.key === " ") this.options.change({ lock: lock ? null : cursor });
    else if (event.key === "Escape") this.options.change({ lock: null });
    else if (event.key === "+" || event.key === "=") this.#zoom(0.5);
    else if (event.key === "-") this.#zoom(2);
    else if (event.key === "0") this.#go((_, count) => whole(count));
    else return false;
    return true;
  }

  /** Around the locked or hovered cell where there is one, else around the middle. */
  #zoom(factor: number, x?: number, y?: number): void {
    const cell = this.#model?.navigation.lock ?? this.#hovered;
    this.#go((view, tokens) => {
      const at = (start: number, token: number | undefined) =>
        token === undefined ? 0.5 : Math.min(1, Math.max(0, (token + 0.5 - start) / view.side));
      return zoom(view, factor, x ?? at(view.column, cell?.column), y ?? at(view.row, cell?.row), tokens);
    });
  }

  #go(move: (view: Viewport, tokens: number) => Viewport): void {
    if (this.#model) this.options.change({ view: move(this.#view(this.#model), this.#model.reading.map.tokens.length) });
  }

  #overlay(context: CanvasRenderingContext2D, boxOf: Parameters<ConstructorParameters<typeof CellCanvas>[0]["overlay"]>[1]): void {
    const model = this.#model;
    const head = model?.navigation.head;
    if (!model || !head) return;
    const bright = model.theme === "dark" || model.theme === "hc-dark";
    const [line, halo] = inks(model.theme);
    const tokens = model.reading.map.tokens.length;
    if (this.#band !== null) {
      const box = boxOf({ row: 0, column: this.#band, rows: tokens, columns: 1 });
      context.fillStyle = bright ? "rgba(255,255,255,0.25)" : "rgba(0,0,0,0.2)";
      context.fillRect(box.x, box.y, Math.max(1, box.width), box.height);
    }
    const cell = model.navigation.lock ?? this.#hovered;
    const reading = cell && this.#read(model, head, cell);
    if (!reading) return;
    const { queries, keys } = reading;
    const box = boxOf({ row: queries[0], column: keys[0], rows: queries[1] - queries[0], columns: keys[1] - keys[0] });
    context.fillStyle = bright ? "rgba(255,255,255,0.12)" : "rgba(0,0,0,0.1)";
    const whole = boxOf({ row: 0, column: 0, rows: tokens, columns: tokens });
    context.fillRect(whole.x, box.y, whole.width, Math.max(1, box.height));
    context.fillRect(box.x, whole.y, Math.max(1, box.width), whole.height);
    const least = 5;
    const grown = {
      x: box.x - Math.max(0, least - box.width) / 2,
      y: box.y - Math.max(0, least - box.height) / 2,
      width: Math.max(least, box.width),
      height: Math.max(least, box.height),
    };
    ring(context, grown, line, halo, model.navigation.lock ? 2 : 1);
  }
}
