import type { HeadSetEntry } from "../../src/protocol/calibrate-panel.js";
import { h } from "../dom.js";
import { evidenceRows, points, probability, signed } from "./words.js";

/** What a head set rests on: the verdict, and every arm of its confirmation with interval. */
export class EvidenceTable {
  readonly element: HTMLElement;
  readonly #title = h("h2", { id: "evidence-title" });
  readonly #verdict = h("p", {});
  readonly #rows = h("tbody", {});
  readonly #note = h("p", { class: "quiet" });
  readonly #table: HTMLElement;

  constructor() {
    this.#table = h(
      "table",
      { "data-name": "evidence" },
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          ...["", "heads", "score", "against no heads", "95 % interval"].map((name) =>
            name ? h("th", { scope: "col" }, name) : h("td", {}),
          ),
        ),
      ),
      this.#rows,
    );
    this.element = h(
      "section",
      { class: "evidence", "aria-labelledby": "evidence-title" },
      this.#title,
      this.#verdict,
      this.#table,
      this.#note,
    );
  }

  update(entry: HeadSetEntry | null): void {
    this.element.hidden = entry === null;
    if (!entry) return;
    const { evidence } = entry;
    this.#title.textContent = `Evidence: ${entry.name}`;
    this.#verdict.textContent = entry.verdict;
    this.#table.hidden = evidence === null || evidence.confirmedOn === 0;
    if (!evidence) {
      this.#note.textContent = "This set came without evidence, so nothing is known about what it does here. Calibrate to find out.";
      return;
    }
    const likelihood = evidence.metric === "log-likelihood";
    this.#rows.replaceChildren(
      ...evidenceRows(entry, evidence).map(({ name, heads, score, difference, interval }) =>
        h(
          "tr",
          {},
          h("th", { scope: "row" }, name),
          h("td", {}, heads),
          h("td", {}, likelihood ? score.toFixed(4) : `${(100 * score).toFixed(1)} %`),
          h("td", {}, difference === null ? "" : likelihood ? `${signed(difference)} nats` : `${points(difference)} points`),
          h("td", {}, interval ? interval.map(likelihood ? signed : points).join(" to ") : ""),
        ),
      ),
    );
    if (entry.heads.length === 0) {
      const compared = evidence.confirmedOn === 0 ? "" : ` The others were compared on n = ${evidence.confirmedOn} more.`;
      this.#note.textContent = `Chosen on ${evidence.chosenOn} and validated on ${evidence.validatedOn ?? 0} prompts of ${evidence.task}: no set did better than none there, so there was nothing to confirm.${compared}`;
      return;
    }
    this.#note.textContent = [
      `Measured on ${evidence.task}`,
      `chosen on ${evidence.chosenOn}`,
      evidence.validatedOn !== undefined && `validated on ${evidence.validatedOn}`,
      `confirmed on n = ${evidence.confirmedOn} prompts that it was not chosen on`,
      probability(evidence.p),
      `seed ${evidence.seed}`,
    ]
      .filter(Boolean)
      .join(", ")
      .concat(".");
  }
}
