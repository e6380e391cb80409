import { divergingPalette } from "../../src/core/picture/colour.js";
import { readable, robustMax, type Scale } from "../../src/core/picture/scale.js";
import { type CalibrateSnapshot, HEAD_STATES } from "../../src/protocol/calibrate-panel.js";
import { type Area, type Box, CellCanvas, imageOf } from "../cell-canvas.js";
import { h } from "../dom.js";
import { HeadAxes } from "../head-axes.js";
import { Legend } from "../legend.js";
import { type Cell, stepTo } from "../paint/hit.js";
import { paintCells } from "../paint/raster.js";
import { inks, ring } from "../ring.js";
import { setText } from "../text.js";
import { themeKind } from "../theme.js";
import { describeScore } from "./describe.js";
import { signed } from "./words.js";

/** Layers x heads with the change of the score that each head brings alone; fills while the search runs. */
export class Scores {
  readonly element: HTMLElement;
  readonly #canvas: CellCanvas;
  readonly #legend = new Legend();
  readonly #readout = h("p", { class: "readout", id: "score-readout", "aria-live": "polite" });
  readonly #axes: HeadAxes;
  readonly #table = h("tbody", {});
  readonly #details: HTMLDetailsElement;
  #run: CalibrateSnapshot | null = null;
  #chosen = new Set<number>();
  #cell: Cell | null = null;

  constructor() {
    this.#canvas = new CellCanvas({
      label: "Layers by heads: the change that each head brings. Arrow keys move.",
      name: "scores",
      onHover: (cell) => this.#point(cell),
      onPick: (cell) => this.#point(cell),
      onKey: (event) => {
        const next = stepTo(this.#cell ?? { row: 0, column: 0 }, event.key, event.ctrlKey, this.#canvas.size);
        if (next) this.#point(next);
        return next !== null;
      },
      overlay: (context, boxOf) => this.#overlay(context, boxOf),
    });
    this.#canvas.describedBy("score-readout");
    this.#axes = new HeadAxes(this.#canvas.element);
    this.#details = h(
      "details",
      { "data-name": "scores-details" },
      h("summary", {}, "Heads as a table"),
      h(
        "div",
        { class: "scroll", tabindex: 0, role: "region", "aria-label": "Heads as a table" },
        h(
          "table",
          { "data-name": "scores-table" },
          h(
            "thead",
            {},
            h("tr", {}, ...["layer", "head", "change", "95 % half-width", "n", "state"].map((name) => h("th", { scope: "col" }, name))),
          ),
          this.#table,
        ),
      ),
    );
    this.#details.addEventListener("toggle", () => this.#fillTable());
    this.element = h(
      "section",
      { class: "scores", "aria-labelledby": "scores-title" },
      h("h2", { id: "scores-title" }, "Effect of each head alone"),
      this.#axes.element,
      this.#readout,
      this.#legend.element,
      this.#details,
    );
  }

  /** @param chosen cells of the set that was chosen, layer x heads + head */
  update(run: CalibrateSnapshot | null, chosen: ReadonlySet<number>): void {
    this.element.hidden = run === null;
    const changed = run?.scores !== this.#run?.scores;
    this.#run = run;
    this.#chosen = new Set(chosen);
    if (!run) return;
    this.#axes.update(run.scores.layers, run.scores.heads);
    this.redraw();
    if (changed) this.#fillTable();
  }

  redraw(): void {
    if (!this.#run) return;
    const { layers, heads, gain } = this.#run.scores;
    const palette = divergingPalette(themeKind());
    const scale: Scale = { kind: "linear", max: robustMax(gain.map(Math.abs), 0.01) };
    const area = { row: 0, column: 0, rows: layers, columns: heads };
    this.#canvas.show(area, [
      { image: imageOf(paintCells(gain, heads, layers, { palette, scale, diverging: true, missing: null })), area },
    ]);
    this.#legend.update({
      title: "Change of the score, x 100",
      palette,
      scale: { kind: "linear", max: scale.max * 100 },
      diverging: true,
      clipped: true,
    });
    this.#tell();
  }

  #point(cell: Cell | null): void {
    this.#cell = cell;
    this.#canvas.redrawMarks();
    this.#tell();
  }

  #tell(): void {
    const run = this.#run;
    if (!run) return;
    setText(
      this.#readout,
      this.#cell
        ? describeScore(run, this.#cell)
        : "What each head alone would change, estimated or measured. Squares: still compared. Filled dots: kept. Rings: in the chosen set. Point at a head to read it.",
    );
  }

  #overlay(context: CanvasRenderingContext2D, boxOf: (area: Area) => Box): void {
    const run = this.#run;
    if (!run) return;
    const { layers, heads, states } = run.scores;
    const [line, halo] = inks(themeKind());
    for (let at = 0; at < layers * heads; at++) {
      const box = boxOf({ row: Math.floor(at / heads), column: at % heads, rows: 1, columns: 1 });
      if (this.#chosen.has(at)) ring(context, inset(box, 1.5), line, halo, 1.5);
      drawState(context, box, HEAD_STATES[states[at] as number] ?? "unseen", line, halo);
    }
    if (this.#cell) ring(context, boxOf({ ...this.#cell, rows: 1, columns: 1 }), line, halo, 2);
  }

  #fillTable(): void {
    if (!this.#details.open || !this.#run) return;
    const { heads, gain, halfWidth, items, states } = this.#run.scores;
    const seen = [...states.keys()].filter((at) => HEAD_STATES[states[at] as number] !== "unseen");
    seen.sort((a, b) => (gain[b] as number) - (gain[a] as number));
    this.#table.replaceChildren(
      ...seen.map((at) => {
        const known = !Number.isNaN(gain[at] as number);
        const cells = [
          String(Math.floor(at / heads)),
          String(at % heads),
          known ? signed(gain[at] as number) : "",
          known ? readable(halfWidth[at] as number) : "",
          String(items[at]),
          HEAD_STATES[states[at] as number] ?? "",
        ];
        return h("tr", {}, ...cells.map((cell) => h("td", {}, cell)));
      }),
    );
  }
}

/** Shape, not colour, tells the state: racing a small square, kept a dot, never live a stroke, dropped nothing. */
function drawState(context: CanvasRenderingContext2D, box: Box, state: (typeof HEAD_STATES)[number], line: string, halo: string): void {
  const size = Math.max(1.2, Math.min(3.5, Math.min(box.width, box.height) / 6));
  const x = box.x + box.width / 2;
  const y = box.y + box.height / 2;
  context.fillStyle = line;
  context.strokeStyle = halo;
  context.lineWidth = 1;
  if (state === "kept") {
    context.beginPath();
    context.arc(x, y, size, 0, 2 * Math.PI);
    context.fill();
    context.stroke();
  } else if (state === "racing") {
    context.globalAlpha = 0.55;
    context.fillRect(x - size / 2, y - size / 2, size, size);
    context.globalAlpha = 1;
  } else if (state === "never-live") {
    context.globalAlpha = 0.4;
    context.strokeStyle = line;
    context.beginPath();
    context.moveTo(x - size * 1.5, y);
    context.lineTo(x + size * 1.5, y);
    context.stroke();
    context.globalAlpha = 1;
  }
}

function inset(box: Box, by: number): Box {
  return { x: box.x + by, y: box.y + by, width: box.width - 2 * by, height: box.height - 2 * by };
}
