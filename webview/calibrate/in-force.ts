import { USE_NAMES } from "../../src/core/uses.js";
import type { CalibratePanelState } from "../../src/protocol/calibrate-panel.js";
import { h } from "../dom.js";

/** What is applied now, use by use: the set, or why there is none. */
export class InForce {
  readonly element: HTMLElement;
  readonly #list = h("dl", { class: "in-force", "data-name": "in-force" });
  #drawn = "";

  constructor() {
    this.element = h("section", { "aria-label": "What is applied now" }, this.#list);
  }

  update(uses: CalibratePanelState["uses"]): void {
    const drawn = JSON.stringify(uses);
    if (drawn === this.#drawn) return;
    this.#drawn = drawn;
    this.#list.replaceChildren(
      ...uses.flatMap(({ use, set, anyway, says }) => {
        const state = set === null ? "off" : anyway ? "trial" : "on";
        const text = set === null ? says : `${set}${anyway ? " (on trial: not known to help)" : ""}${says === "" ? "" : `. ${says}`}`;
        return [
          h("dt", { "data-state": state }, capital(USE_NAMES[use]), h("span", { class: "state" }, state === "trial" ? "on trial" : state)),
          h("dd", { class: set === null ? "quiet" : "" }, text),
        ];
      }),
    );
  }
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
