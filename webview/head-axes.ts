import { h } from "./dom.js";
import { setText } from "./text.js";

/** A grid of layers x heads between its axes, which name the first and the last of each. */
export class HeadAxes {
  readonly element: HTMLElement;
  readonly #lastLayer = h("span", {});
  readonly #lastHead = h("span", {});

  constructor(grid: HTMLElement) {
    this.element = h(
      "div",
      { class: "axes" },
      h("div", { class: "axis left", "aria-hidden": "true" }, h("span", {}, "layer 0"), this.#lastLayer),
      grid,
      h("div", { class: "axis below", "aria-hidden": "true" }, h("span", {}, "head 0"), this.#lastHead),
    );
  }

  update(layers: number, heads: number): void {
    setText(this.#lastLayer, String(layers - 1));
    setText(this.#lastHead, String(heads - 1));
  }
}
