import { sequentialPalette } from "../../src/core/picture/colour.js";
import { largest, readable, type Scale } from "../../src/core/picture/scale.js";
import type { Head } from "../../src/protocol/calibration.js";
import type { SinkPanelState } from "../../src/protocol/sink-panel.js";
import { type Area, type Box, CellCanvas, imageOf } from "../cell-canvas.js";
import { button, dropdown } from "../controls.js";
import { h } from "../dom.js";
import { HeadAxes } from "../head-axes.js";
import { Legend } from "../legend.js";
import { stepTo } from "../paint/hit.js";
import { paintCells } from "../paint/raster.js";
import { inks, ring } from "../ring.js";
import { type ReadModel, tokenName } from "./model.js";
import type { SinkNavigation } from "./navigation.js";

export interface HeadsOptions {
  onOpen(head: Head | null): void;
  onMeasure(measure: SinkNavigation["measure"]): void;
}

/** All heads at once, layers down and heads across: the mass each gives to its sinks, or its column means as a strip. */
export class Heads {
  readonly element: HTMLElement;
  readonly #canvas: CellCanvas;
  readonly #legend = new Legend();
  readonly #readout = h("p", { class: "readout", id: "heads-readout", "aria-live": "polite" });
  readonly #inSet = h("span", { class: "swatch" }, h("i", { class: "dot", "aria-hidden": "true" }), "in the head set");
  readonly #axes: HeadAxes;
  readonly #measure: ReturnType<typeof dropdown>;
  #model: ReadModel | null = null;
  #calibrated = new Set<number>();
  #hovered: Head | null = null;

  constructor(private readonly options: HeadsOptions) {
    this.#canvas = new CellCanvas({
      label: "Layers by heads. Arrow keys move, Enter or Space opens a head, Escape goes back to the average.",
      name: "heads",
      onHover: (cell) => this.#hover(cell && [cell.row, cell.column]),
      onPick: ({ row, column }) => options.onOpen([row, column]),
      onKey: (event) => this.#key(event),
      overlay: (context, boxOf) => this.#overlay(context, boxOf),
    });
    this.#canvas.describedBy("heads-readout");
    this.#axes = new HeadAxes(this.#canvas.element);
    this.#measure = dropdown(
      "What the grid shows",
      [
        { value: "mass", label: "Attention on sinks" },
        { value: "profile", label: "Column means along the prompt" },
      ],
      "mass",
      (value) => options.onMeasure(value as SinkNavigation["measure"]),
      "measure",
    );
    this.element = h(
      "section",
      { class: "heads", "aria-labelledby": "heads-title" },
      h("div", { class: "row spread" }, h("h2", { id: "heads-title" }, "Heads"), this.#measure),
      this.#axes.element,
      this.#readout,
      h(
        "div",
        { class: "row spread" },
        h("span", { class: "row" }, this.#legend.element, this.#inSet),
        button("Average over all heads", () => options.onOpen(null), { name: "average" }),
      ),
    );
  }

  update(model: ReadModel): void {
    this.#model = model;
    const { reading, navigation, theme, state } = model;
    const { layers, heads } = reading.map;
    this.#calibrated = new Set(state.calibration?.heads.map(([layer, head]) => layer * heads + head));
    this.#inSet.hidden = this.#calibrated.size === 0;
    this.#axes.update(layers, heads);
    if (this.#measure.value !== navigation.measure) this.#measure.value = navigation.measure;
    const grid = navigation.measure === "mass" ? { values: reading.masses, width: heads, height: layers } : reading.strips;
    const scale: Scale = { kind: navigation.log ? "log" : "linear", max: largest(grid.values) };
    const palette = sequentialPalette(theme);
    const area: Area = { row: 0, column: 0, rows: layers, columns: heads };
    this.#canvas.show(area, [
      { image: imageOf(paintCells(grid.values, grid.width, grid.height, { palette, scale, missing: null })), area },
    ]);
    const hidden = navigation.hideInitial ? ", initial sink hidden" : "";
    this.#legend.update({ title: (navigation.measure === "mass" ? "Attention on sinks" : "Column mean") + hidden, palette, scale });
    this.#tell(this.#hovered ?? navigation.head);
  }

  #hover(head: Head | null): void {
    if (head?.[0] === this.#hovered?.[0] && head?.[1] === this.#hovered?.[1]) return;
    this.#hovered = head;
    this.#canvas.redrawMarks();
    this.#tell(head ?? this.#model?.navigation.head ?? null);
  }

  #key(event: KeyboardEvent): boolean {
    const from = this.#hovered ?? this.#model?.navigation.head ?? [0, 0];
    if (event.key === "Enter" || event.key === " ") {
      this.options.onOpen(from);
      return true;
    }
    if (event.key === "Escape") {
      this.#hovered = null;
      this.options.onOpen(null);
      return true;
    }
    const next = stepTo({ row: from[0], column: from[1] }, event.key, event.ctrlKey, this.#canvas.size);
    if (next) this.#hover([next.row, next.column]);
    return next !== null;
  }

  #tell(head: Head | null): void {
    const model = this.#model;
    if (!model) return;
    this.#readout.textContent = head ? describeHead(model, head) : "Choose a head to see where it looks.";
  }

  #overlay(context: CanvasRenderingContext2D, boxOf: (area: Area) => Box): void {
    const model = this.#model;
    if (!model) return;
    const { heads } = model.reading.map;
    const [line, ink] = inks(model.theme);
    const cell = (head: Head) => boxOf({ row: head[0], column: head[1], rows: 1, columns: 1 });
    for (const at of this.#calibrated) markCalibrated(context, cell([Math.floor(at / heads), at % heads]), ink, line);
    if (model.navigation.head) ring(context, cell(model.navigation.head), line, ink, 2);
    if (this.#hovered) ring(context, cell(this.#hovered), line, ink, 1);
  }
}

/** "Layer 4, head 2: 0.412 of its attention goes to 3 later sinks and the initial sink “<bos>” (0). Head 3 of 8 in “sst2”, β 0.4." */
export function describeHead({ reading, state }: ReadModel, head: Head): string {
  const [layer, column] = head;
  const { map, hideInitial } = reading;
  const { exempt, positions } = reading.sinksOf(head);
  const name = `Layer ${layer}, head ${column}`;
  const mark = placeInSet(state.calibration, head);
  if (exempt === null && positions.length === 0) return `${name}: no sinks above the threshold.${mark}`;
  const later = positions.length === 1 ? "1 later sink" : `${positions.length} later sinks`;
  const mass = readable(reading.masses[layer * map.heads + column] as number);
  if (exempt === null) return `${name}: ${mass} of its attention goes to ${later}.${mark}`;
  const initial = `initial sink ${tokenName(map, exempt)}`;
  return hideInitial
    ? `${name}: ${mass} of its attention goes to ${later}; the ${initial} is left out.${mark}`
    : `${name}: ${mass} of its attention goes to ${positions.length === 0 ? "" : `${later} and `}the ${initial}.${mark}`;
}

/** Where a head stands in the set that "after" shows, and what it does there; empty where it is not in the set. */
export function placeInSet(set: SinkPanelState["calibration"], [layer, head]: Head): string {
  const at = set?.heads.findIndex(([l, h]) => l === layer && h === head) ?? -1;
  if (!set || at < 0) return "";
  const beta = set.betas?.[at] ?? set.beta;
  const does = set.method === "act" ? `β ${Number(beta.toFixed(3))}` : `initial token × ${beta}`;
  return ` Head ${at + 1} of ${set.heads.length} in “${set.name}”, ${does}.`;
}

function markCalibrated(context: CanvasRenderingContext2D, box: Box, halo: string, line: string): void {
  const radius = Math.max(1.5, Math.min(4, Math.min(box.width, box.height) / 5));
  context.beginPath();
  context.arc(box.x + box.width - radius - 2, box.y + radius + 2, radius, 0, 2 * Math.PI);
  context.fillStyle = line;
  context.fill();
  context.lineWidth = 1;
  context.strokeStyle = halo;
  context.stroke();
}
