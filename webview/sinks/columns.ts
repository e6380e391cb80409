import { largest, place, readable, type Scale } from "../../src/core/picture/scale.js";
import { fit } from "../cell-canvas.js";
import { h } from "../dom.js";
import type { Viewport } from "../paint/viewport.js";
import { themeColour } from "../theme.js";
import type { ReadModel } from "./model.js";

/** Column means of the open head as bars over its heatmap, with the threshold as a line; bars of later sinks are filled with the accent. */
export class Columns {
  readonly element: HTMLElement;
  readonly #canvas = h("canvas", { "aria-hidden": "true", "data-name": "columns" });
  readonly #caption = h("span", { class: "quiet" });
  #drawn: { model: ReadModel; view: Viewport } | null = null;

  constructor() {
    this.element = h("div", { class: "columns" }, this.#caption, this.#canvas);
    new ResizeObserver(() => this.#draw()).observe(this.#canvas);
  }

  update(model: ReadModel, view: Viewport): void {
    this.#drawn = { model, view };
    this.#draw();
  }

  #draw(): void {
    const width = this.#canvas.clientWidth;
    const height = this.#canvas.clientHeight;
    if (!this.#drawn || width === 0 || height === 0) return;
    const { model, view } = this.#drawn;
    const { reading, navigation } = model;
    const head = navigation.head;
    if (!head) return;
    const values = reading.tokenValues(head);
    const max = Math.max(largest(values), reading.limit * 1.1);
    const scale: Scale = { kind: navigation.log ? "log" : "linear", max };
    const { exempt, positions } = reading.sinksOf(head);
    const later = new Set(positions);
    const accent = themeColour("charts-yellow", "#cca700");
    const plain = themeColour("charts-blue", "#3794ff");
    const context = fit(this.#canvas, width, height);
    const step = width / view.side;
    const pixels = Math.min(view.side, Math.ceil(width));
    for (let pixel = 0; pixel < pixels; pixel++) {
      const from = view.column + Math.floor((pixel * view.side) / pixels);
      const to = Math.max(from + 1, view.column + Math.floor(((pixel + 1) * view.side) / pixels));
      let best = from;
      for (let key = from; key < to; key++) if ((values[key] as number) > (values[best] as number)) best = key;
      const tall = place(values[best] as number, scale) * (height - 2);
      const x = (from - view.column) * step;
      const wide = Math.max(1, (to - from) * step - (step > 4 ? 1 : 0));
      context.fillStyle = later.has(best) ? accent : plain;
      context.globalAlpha = later.has(best) ? 1 : best === exempt ? 0.9 : 0.55;
      context.fillRect(x, height - tall, wide, tall);
    }
    context.globalAlpha = 1;
    const y = height - place(reading.limit, scale) * (height - 2);
    context.strokeStyle = themeColour("editorError-foreground", "#f14c4c");
    context.lineWidth = 1.5;
    context.setLineDash([5, 3]);
    context.beginPath();
    context.moveTo(0, y);
    context.lineTo(width, y);
    context.stroke();
    context.setLineDash([]);
    this.#caption.textContent = `Column means, 0 to ${readable(max)}; dashed: threshold ${readable(reading.limit)}`;
  }
}
