import type { CalibratePanelState, Part } from "../../src/protocol/calibrate-panel.js";
import { h } from "../dom.js";
import { setText } from "../text.js";
import { duration, measuredOn, signed } from "./words.js";

const NAMES: Record<Part, { name: string; doing: string }> = {
  baseline: { name: "Baseline", doing: "Answering without any head calibrated" },
  choose: { name: "Choose", doing: "Choosing heads on the first part of the prompts" },
  validate: { name: "Validate", doing: "Comparing candidate sets on the second part" },
  confirm: { name: "Confirm", doing: "Measuring the winner on prompts it never saw" },
};

/** One bar for the whole search, what it is doing, the time left, and the best so far; its parts with their counts in a line. */
export class Progress {
  readonly element: HTMLElement;
  readonly #doing = h("strong", {});
  readonly #left = h("span", { class: "quiet", "data-name": "left" });
  readonly #fill = h("i", {});
  readonly #bar: HTMLElement;
  readonly #parts = h("ol", { class: "parts" });
  readonly #facts = h("p", { class: "quiet", "data-name": "facts" });
  readonly #best = h("p", { "data-name": "best" });
  readonly #rows = new Map<Part, { item: HTMLElement; count: HTMLElement }>();

  constructor() {
    this.#bar = h(
      "div",
      { class: "progress-bar", role: "progressbar", "aria-label": "Search", "aria-valuemin": 0, "aria-valuemax": 100 },
      this.#fill,
    );
    for (const part of Object.keys(NAMES) as Part[]) {
      const count = h("span", { class: "quiet" });
      const item = h("li", {}, h("span", { class: "name" }, NAMES[part].name), count);
      this.#rows.set(part, { item, count });
      this.#parts.append(item);
    }
    this.element = h(
      "section",
      { class: "progress", "aria-label": "Progress" },
      h("div", { class: "row spread" }, this.#doing, this.#left),
      this.#bar,
      this.#parts,
      this.#facts,
      this.#best,
    );
  }

  update({ run, phase, percent }: CalibratePanelState): void {
    this.element.hidden = run === null;
    if (!run) return;
    const running = phase === "running" || phase === "cancelling";
    const over = phase === "done";
    const share = over ? 100 : percent;
    this.#bar.hidden = !running;
    this.#fill.style.width = `${share ?? 0}%`;
    if (share === null) this.#bar.removeAttribute("aria-valuenow");
    else this.#bar.setAttribute("aria-valuenow", String(share));
    setText(this.#doing, running && run.part ? `${NAMES[run.part].doing}${share === null ? "" : `, ${share} %`}` : "");
    setText(this.#left, running ? timeLeft(run.secondsLeft) : "");
    for (const { part, done, total, finished } of run.parts) {
      const row = this.#rows.get(part);
      if (!row) continue;
      const counted = total > 0 ? `${Math.min(done, total)} of ${total}` : "";
      setText(row.count, finished ? (done >= total && counted) || "done" : over ? "not needed" : counted);
      row.item.dataset.state = finished ? "done" : run.part === part ? "now" : "waiting";
    }
    const speed = running && run.promptsPerSecond > 0 ? `${run.promptsPerSecond.toFixed(1)} prompts a second` : "";
    setText(
      this.#facts,
      [`on ${measuredOn(run.place)}`, speed, `${run.forwardPasses.toLocaleString("en")} forward passes`].filter(Boolean).join(" · "),
    );
    const { best } = run;
    const shown = best !== null && best.items !== undefined && !over ? best : null;
    this.#best.hidden = shown === null;
    setText(
      this.#best,
      shown
        ? `Best so far: ${shown.name}, ${shown.heads} heads, score ${signed(shown.difference)} (95 % ${signed(shown.interval[0])} to ${signed(shown.interval[1])}, n = ${shown.items}) on ${measuredOn(run.place)}; not yet confirmed.`
        : "",
    );
  }
}

function timeLeft(seconds: number | null): string {
  if (seconds === null) return "";
  return seconds > 0 ? `about ${duration(seconds)} left` : "the time is up, what was begun is finished";
}
