import { columnLimit } from "../../src/core/act.js";
import { readable } from "../../src/core/picture/scale.js";
import type { Threshold } from "../../src/protocol/calibration.js";
import type { SinkPanelState, SinkSource } from "../../src/protocol/sink-panel.js";
import { EXPORT_FORMATS } from "../../src/protocol/sink-panel.js";
import { button, checkbox, dropdown, setOptions, textArea } from "../controls.js";
import { h } from "../dom.js";
import type { ExportFormat } from "./exports.js";
import type { Model } from "./model.js";
import type { SinkNavigation } from "./navigation.js";

export interface BarOptions {
  onOpen(source: SinkSource): void;
  change(patch: Partial<SinkNavigation>): void;
  onExport(scope: "prompt" | "head", format: ExportFormat): void;
  onDecorate(on: boolean): void;
}

const SOURCES: { value: SinkSource["kind"]; label: string }[] = [
  { value: "completion", label: "Last completion" },
  { value: "chat", label: "Chat" },
  { value: "selection", label: "Selection in the editor" },
  { value: "typed", label: "A typed prompt" },
];

/** Which prompt is shown, how it is drawn, and where it goes. */
export class Bar {
  readonly element: HTMLElement;
  readonly #label = h("p", { class: "quiet", "data-name": "label" });
  readonly #source: ReturnType<typeof dropdown>;
  readonly #typed = textArea("Prompt", { rows: 2, placeholder: "A prompt to look at", name: "typed" });
  readonly #typedRow: HTMLElement;
  readonly #options: HTMLElement;
  readonly #log: ReturnType<typeof checkbox>;
  readonly #hide: ReturnType<typeof checkbox>;
  readonly #decorate: ReturnType<typeof checkbox>;
  readonly #mode: ReturnType<typeof dropdown>;
  readonly #slider = h("input", { type: "range", min: 0, max: 1000, step: 1, "aria-label": "Sink threshold", "data-name": "threshold" });
  readonly #limit = h("output", { "data-name": "limit" });
  readonly #scope: ReturnType<typeof dropdown>;
  readonly #format: ReturnType<typeof dropdown>;
  #threshold: Threshold = { mode: "fixed", value: 0.1 };

  constructor(private readonly options: BarOptions) {
    this.#source = dropdown("Prompt", SOURCES, "completion", (kind) => this.#choose(kind as SinkSource["kind"]), "source");
    this.#typedRow = h(
      "div",
      { class: "row typed" },
      this.#typed,
      button("Show", () => options.onOpen({ kind: "typed", text: this.#typed.value }), { look: "primary", name: "show" }),
    );
    this.#typedRow.hidden = true;
    this.#log = checkbox("Log scale", false, (log) => options.change({ log }), "log");
    this.#hide = checkbox("Hide initial sink", false, (hideInitial) => options.change({ hideInitial }), "hide-initial");
    this.#decorate = checkbox("Mark in the file", false, (on) => options.onDecorate(on), "decorate");
    this.#mode = dropdown(
      "Kind of threshold",
      [
        { value: "fixed", label: "fixed" },
        { value: "relative", label: "relative to length" },
      ],
      "fixed",
      (mode) => options.change({ threshold: mode === "fixed" ? { mode, value: 0.1 } : { mode: "relative", value: 5 } }),
      "threshold-mode",
    );
    this.#slider.addEventListener("input", () => {
      options.change({ threshold: { mode: this.#threshold.mode, value: sliderValue(Number(this.#slider.value), this.#threshold.mode) } });
    });
    this.#scope = dropdown(
      "What to export",
      [
        { value: "prompt", label: "All heads" },
        { value: "head", label: "Open head" },
      ],
      "prompt",
      () => {},
      "export-scope",
    );
    this.#format = dropdown(
      "Format",
      EXPORT_FORMATS.map((format) => ({ value: format, label: format.toUpperCase() })),
      "png",
      () => {},
      "export-format",
    );
    this.#options = h(
      "div",
      { class: "row options", role: "group", "aria-label": "How it is drawn" },
      this.#log,
      this.#hide,
      h("span", { class: "row threshold" }, "Threshold", this.#slider, this.#limit, this.#mode),
      this.#decorate,
      h(
        "span",
        { class: "row" },
        this.#scope,
        this.#format,
        button("Export", () => options.onExport(this.#scope.value as "prompt" | "head", this.#format.value as ExportFormat), {
          name: "export",
        }),
      ),
    );
    this.element = h(
      "header",
      {},
      h("div", { class: "row spread" }, h("div", {}, h("h1", {}, "Attention sinks"), this.#label), this.#source),
      this.#typedRow,
      this.#options,
    );
  }

  update({ state, navigation, reading }: Model): void {
    this.#label.textContent = [state.label, state.model, setText(state)].filter(Boolean).join(" · ");
    setOptions(this.#source, sourcesOf(state), state.source?.kind ?? this.#source.value);
    this.#options.hidden = reading === null;
    this.#log.checked = navigation.log;
    this.#hide.checked = navigation.hideInitial;
    this.#decorate.checked = state.decorations;
    this.#threshold = navigation.threshold ?? state.threshold;
    if (this.#mode.value !== this.#threshold.mode) this.#mode.value = this.#threshold.mode;
    this.#slider.value = String(sliderPlace(this.#threshold));
    const keys = reading?.map.tokens.length ?? 1;
    const limit = readable(columnLimit(this.#threshold, keys));
    this.#limit.textContent =
      this.#threshold.mode === "fixed" ? limit : `${Number(this.#threshold.value.toPrecision(3))} / ${keys} = ${limit}`;
    this.#slider.setAttribute("aria-valuetext", this.#limit.textContent);
  }

  #choose(kind: SinkSource["kind"]): void {
    this.#typedRow.hidden = kind !== "typed";
    if (kind === "typed") this.#typed.focus();
    else this.options.onOpen({ kind });
  }
}

function setText({ calibration }: SinkPanelState): string {
  if (!calibration) return "no head set";
  return `head set: ${calibration.name}${calibration.applied ? "" : " (off; shown to compare)"}`;
}

function sourcesOf(state: SinkPanelState): { value: string; label: string }[] {
  return SOURCES.map(({ value, label }) => {
    const there = value === "typed" || state.available[value];
    return { value, label: there ? label : `${label} (none yet)` };
  });
}

/** The slider runs over four decades below the largest useful threshold: 1 (fixed), 100 (relative). */
function sliderValue(place: number, mode: Threshold["mode"]): number {
  const most = mode === "fixed" ? 1 : 100;
  return Number((most * 10 ** ((place / 1000 - 1) * 4)).toPrecision(3));
}

function sliderPlace({ mode, value }: Threshold): number {
  const most = mode === "fixed" ? 1 : 100;
  return value <= 0 ? 0 : Math.round(1000 * (1 + Math.log10(value / most) / 4));
}
