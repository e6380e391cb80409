import { cssColour, type Palette, type Rgb } from "../src/core/picture/colour.js";
import { place, readable, type Scale, ticks } from "../src/core/picture/scale.js";
import { imageOf } from "./cell-canvas.js";
import { h } from "./dom.js";
import { paintCells } from "./paint/raster.js";

export interface LegendContent {
  title: string;
  palette: Palette;
  scale: Scale;
  diverging?: boolean;
  /** A few values lie beyond the ends and have their colours. */
  clipped?: boolean;
  /** Colours that are not on the scale, such as the upper triangle's. */
  others?: readonly { colour: Rgb; label: string }[];
}

/** A colour bar with numbers under it. */
export class Legend {
  readonly element = h("div", { class: "legend" });
  #shown: LegendContent | null = null;

  update(content: LegendContent): void {
    if (this.#shown && same(this.#shown, content)) return;
    this.#shown = content;
    this.#draw(content);
  }

  #draw({ title, palette, scale, diverging = false, clipped = false, others = [] }: LegendContent): void {
    const ramp = Float32Array.from({ length: 256 }, (_, index) => index / 255);
    const bar = imageOf(paintCells(ramp, 256, 1, { palette, scale: { kind: "linear", max: 1 }, missing: null }));
    bar.setAttribute("aria-hidden", "true");
    const marks = diverging
      ? [-scale.max, 0, scale.max].map((value) => ({ value, at: (value / scale.max + 1) / 2 }))
      : ticks(scale).map((value) => ({ value, at: place(value, scale) }));
    const numbers = marks.map(({ value, at }) => {
      const label = h("span", {}, `${beyond(value, clipped ? scale.max : Infinity)}${diverging && value > 0 ? "+" : ""}${readable(value)}`);
      label.style.left = `${at * 100}%`;
      if (at === 0) label.classList.add("first");
      if (at === 1) label.classList.add("last");
      return label;
    });
    const swatches = others.map(({ colour, label }) => {
      const swatch = h("i", { "aria-hidden": "true" });
      swatch.style.background = cssColour(colour);
      return h("span", { class: "swatch" }, swatch, label);
    });
    this.element.replaceChildren(
      h("span", { class: "legend-title" }, `${title}${scale.kind === "log" ? ", log scale" : ""}`),
      h("div", { class: "legend-bar" }, bar, h("div", { class: "legend-numbers" }, ...numbers)),
      ...swatches,
    );
  }
}

function beyond(value: number, max: number): string {
  return value >= max ? "≥ " : value <= -max ? "≤ " : "";
}

function same(one: LegendContent, other: LegendContent): boolean {
  return (
    one.title === other.title &&
    one.palette === other.palette &&
    one.scale.kind === other.scale.kind &&
    one.scale.max === other.scale.max &&
    one.diverging === other.diverging &&
    one.clipped === other.clipped &&
    JSON.stringify(one.others) === JSON.stringify(other.others)
  );
}
