import { cssColour, readableInk, sequentialPalette } from "../../src/core/picture/colour.js";
import { largest, paletteIndex, type Scale } from "../../src/core/picture/scale.js";
import { maxPool } from "../../src/core/sinks/pixels.js";
import { type SinkRole, visibleToken } from "../../src/core/sinks/values.js";
import type { Head } from "../../src/protocol/calibration.js";
import type { SinkMap } from "../../src/protocol/engine.js";
import { CellCanvas, imageOf } from "../cell-canvas.js";
import { button, type Control } from "../controls.js";
import { h } from "../dom.js";
import { Legend } from "../legend.js";
import { clamp } from "../paint/hit.js";
import { paintCells } from "../paint/raster.js";
import { type ReadModel, tokenName } from "./model.js";

/** Tokens that stand in the page at once; of longer prompts the strip above chooses which. */
export const WINDOW = 1024;
/** Pixels along the strip. */
const STRIP_PIXELS = 2048;

export interface TokensOptions {
  /** The token under the pointer; null when it leaves. */
  onHover(key: number | null): void;
  onPick(key: number): void;
  onWindow(firstToken: number): void;
}

/** The prompt as text, each token on the colour of its column mean; above it, for long prompts, the whole prompt as a strip. */
export class Tokens {
  readonly element: HTMLElement;
  readonly #text = h("div", {
    class: "tokens",
    "data-name": "tokens",
    role: "group",
    tabindex: 0,
    "aria-label": "Prompt tokens, coloured by column mean",
  });
  readonly #title = h("h2", { id: "tokens-title" });
  readonly #legend = new Legend();
  readonly #roles = roleLegend();
  readonly #strip: CellCanvas;
  readonly #stripRow: HTMLElement;
  readonly #range = h("span", { class: "quiet" });
  readonly #earlier: Control;
  readonly #later: Control;
  #shown = { map: "", first: -1 };
  #model: ReadModel | null = null;
  #marked: number[] = [];

  constructor(options: TokensOptions) {
    const move = (by: number) => this.#model && options.onWindow(firstOf(this.#model, this.#first() + by));
    this.#earlier = button("Earlier", () => move(-WINDOW), { name: "earlier" });
    this.#later = button("Later", () => move(WINDOW), { name: "later" });
    this.#strip = new CellCanvas({
      label: "The whole prompt as a strip: arrow keys move the text below",
      name: "strip",
      onHover: (cell) => options.onHover(cell?.column ?? null),
      onPick: ({ column }) => this.#model && options.onWindow(firstOf(this.#model, column - WINDOW / 2)),
      onKey: ({ key }) => {
        if (key !== "ArrowLeft" && key !== "ArrowRight") return false;
        move(key === "ArrowLeft" ? -WINDOW / 4 : WINDOW / 4);
        return true;
      },
      overlay: (context, boxOf) => {
        if (!this.#model) return;
        const shown = Math.min(WINDOW, this.#model.reading.map.tokens.length);
        const box = boxOf({ row: 0, rows: 1, column: this.#first(), columns: shown });
        context.strokeStyle = getComputedStyle(this.element).color;
        context.lineWidth = 2;
        context.strokeRect(box.x + 1, 1, Math.max(4, box.width - 2), box.height - 2);
      },
    });
    this.#stripRow = h("div", { class: "strip" }, this.#strip.element, h("div", { class: "row" }, this.#earlier, this.#range, this.#later));
    this.element = h(
      "section",
      { class: "prompt", "aria-labelledby": "tokens-title" },
      h("div", { class: "row spread" }, this.#title, h("span", { class: "row" }, this.#roles, this.#legend.element)),
      this.#stripRow,
      this.#text,
    );
    const keyOf = (event: Event) => {
      const key = (event.target as HTMLElement).dataset.token;
      return key === undefined ? null : Number(key);
    };
    this.#text.addEventListener("pointerover", (event) => options.onHover(keyOf(event)));
    this.#text.addEventListener("pointerleave", () => options.onHover(null));
    this.#text.addEventListener("click", (event) => {
      const key = keyOf(event);
      if (key !== null) options.onPick(key);
    });
  }

  update(model: ReadModel): void {
    this.#model = model;
    const { reading, navigation, theme } = model;
    const { map } = reading;
    const values = reading.tokenValues(navigation.head);
    const scale: Scale = { kind: navigation.log ? "log" : "linear", max: largest(values) };
    const palette = sequentialPalette(theme);
    this.#title.textContent = navigation.head
      ? `Prompt as layer ${navigation.head[0]}, head ${navigation.head[1]} looks at it`
      : `Prompt, averaged over all ${map.layers * map.heads} heads`;
    this.#legend.update({ title: "Column mean", palette, scale });
    this.#updateStrip(model, values, scale);
    this.#fill(map.id, map.tokens);
    const roles = navigation.head ? reading.roles(navigation.head) : null;
    this.#roles.hidden = roles === null;
    for (const span of this.#text.children as HTMLCollectionOf<HTMLElement>) {
      const key = Number(span.dataset.token);
      const value = values[key] as number;
      const paper = palette[paletteIndex(value, scale)] ?? [0, 0, 0];
      span.style.backgroundColor = cssColour(paper);
      span.style.color = cssColour(readableInk(paper));
      const role = roles?.get(key);
      span.dataset.role = role ?? "";
      span.title = describeToken(map, key, value, navigation.head, role);
    }
  }

  /** Rings the tokens of the cell under the pointer. */
  mark(keys: readonly number[]): void {
    for (const key of this.#marked) this.#span(key)?.classList.remove("marked");
    this.#marked = [...keys];
    for (const key of keys) this.#span(key)?.classList.add("marked");
  }

  #span(key: number): HTMLElement | undefined {
    return this.#text.children[key - this.#shown.first] as HTMLElement | undefined;
  }

  #first(): number {
    return this.#model ? firstOf(this.#model, this.#model.navigation.firstToken) : 0;
  }

  #updateStrip({ reading: { map }, theme }: ReadModel, values: Float32Array, scale: Scale): void {
    const count = map.tokens.length;
    this.#stripRow.hidden = count <= WINDOW;
    if (this.#stripRow.hidden) return;
    const width = Math.min(STRIP_PIXELS, count);
    const raster = paintCells(maxPool(values, 1, count, width), width, 1, { palette: sequentialPalette(theme), scale, missing: null });
    const area = { row: 0, column: 0, rows: 1, columns: count };
    this.#strip.show(area, [{ image: imageOf(raster), area }]);
    const first = this.#first();
    this.#range.textContent = `Tokens ${first} to ${Math.min(count, first + WINDOW) - 1} of ${count}`;
    this.#earlier.disabled = first === 0;
    this.#later.disabled = first + WINDOW >= count;
  }

  #fill(mapId: string, tokens: readonly string[]): void {
    const first = this.#first();
    if (this.#shown.map === mapId && this.#shown.first === first) return;
    this.#shown = { map: mapId, first };
    this.#marked = [];
    const spans = tokens.slice(first, first + WINDOW).map((token, index) => {
      const span = h("span", { "data-token": first + index }, visibleToken(token));
      if (token.includes("\n")) span.classList.add("line-end");
      return span;
    });
    this.#text.replaceChildren(...spans);
  }
}

const ROLES: Record<SinkRole, string> = {
  "initial sink": "initial sink: calibration leaves it alone",
  sink: "sink",
  "not judged": "above the threshold, but too few tokens see it, or no more than by its place: not judged",
};

/** What the underlines mean. */
function roleLegend(): HTMLElement {
  return h(
    "span",
    { class: "row roles" },
    ...(["initial sink", "sink", "not judged"] as const).map((role) => h("span", { "data-role": role, title: ROLES[role] }, role)),
  );
}

/** "“·the” (17) gets 12.0 % of this head's attention, on average over the 23 tokens that see it: sink". */
export function describeToken(map: SinkMap, key: number, value: number, head: Head | null, role: SinkRole | undefined): string {
  const rows = map.tokens.length - key;
  const whose = head ? "this head's" : "all heads'";
  const seen = rows === 1 ? "the one token that sees it" : `the ${rows} tokens that see it`;
  return `${tokenName(map, key)} gets ${(100 * value).toFixed(1)} % of ${whose} attention, on average over ${seen}${role ? `: ${ROLES[role]}` : ""}`;
}

function firstOf({ reading }: ReadModel, wanted: number): number {
  return clamp(Math.round(wanted), 0, Math.max(0, reading.map.tokens.length - WINDOW));
}
