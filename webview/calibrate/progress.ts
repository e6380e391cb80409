import type { CalibratePanelState, Part } from "../../src/protocol/calibrate-panel.js";
import { h } from "../dom.js";
import { setText } from "../text.js";
import { duration, measuredOn, signed } from "./words.js";

const NAMES: Record<Part, { name: string; what: string }> = {
  baseline: { name: "Baseline", what: "no heads calibrated" },
  choose: { name: "Choose", what: "heads race on the first part" },
  validate: { name: "Validate", what: "candidate sets on the second part" },
  confirm: { name: "Confirm", what: "the winner alone, on prompts it never saw" },
};

/** The four parts of a search with how far each is, time left, and the best so far. */
export class Progress {
  readonly element: HTMLElement;
  readonly #parts = h("ol", { class: "parts" });
  readonly #facts = h("p", { class: "quiet", "data-name": "facts" });
  readonly #best = h("p", { "data-name": "best" });
  readonly #rows = new Map<Part, { item: HTMLElement; bar: HTMLElement; fill: HTMLElement; count: HTMLElement }>();

  constructor() {
    for (const part of Object.keys(NAMES) as Part[]) this.#add(part);
    this.element = h("section", { class: "progress", "aria-label": "Progress" }, this.#parts, this.#facts, this.#best);
  }

  update({ run, phase }: CalibratePanelState): void {
    this.element.hidden = run === null;
    if (!run) return;
    for (const { part, done, total, finished } of run.parts) {
      const row = this.#rows.get(part);
      if (!row) continue;
      const share = finished ? 1 : total > 0 ? done / total : 0;
      row.fill.style.width = `${100 * share}%`;
      row.bar.setAttribute("aria-valuenow", String(Math.round(100 * share)));
      const counted = total > 0 ? `${Math.min(done, total)} of ${total}` : "";
      setText(row.count, finished ? (done >= total && counted) || "done" : phase === "done" ? "not needed" : counted);
      row.item.dataset.state = finished ? "done" : run.part === part ? "now" : "waiting";
    }
    const running = phase === "running" || phase === "cancelling";
    const left =
      !running || run.secondsLeft === null
        ? ""
        : run.secondsLeft > 0
          ? `about ${duration(run.secondsLeft)} left`
          : "the time is up, what was begun is finished";
    const speed = running && run.promptsPerSecond > 0 ? `${run.promptsPerSecond.toFixed(1)} prompts a second` : "";
    setText(
      this.#facts,
      [`on ${measuredOn(run.place)}`, speed, `${run.forwardPasses.toLocaleString("en")} forward passes`, left].filter(Boolean).join(" · "),
    );
    const { best } = run;
    const shown = best !== null && best.items !== undefined && phase !== "done" ? best : null;
    this.#best.hidden = shown === null;
    setText(
      this.#best,
      shown
        ? `Best so far: ${shown.name}, ${shown.heads} heads, score ${signed(shown.difference)} (95 % ${signed(shown.interval[0])} to ${signed(shown.interval[1])}, n = ${shown.items}) on ${measuredOn(run.place)}; not yet confirmed.`
        : "",
    );
  }

  #add(part: Part): void {
    const { name, what } = NAMES[part];
    const fill = h("i", {});
    const bar = h(
      "div",
      { class: "progress-bar", role: "progressbar", "aria-label": name, "aria-valuemin": 0, "aria-valuemax": 100, "aria-valuenow": 0 },
      fill,
    );
    const count = h("span", { class: "quiet" });
    const item = h("li", {}, h("div", { class: "row spread" }, h("strong", {}, name), count), bar, h("span", { class: "quiet" }, what));
    this.#rows.set(part, { item, bar, fill, count });
    this.#parts.append(item);
  }
}
