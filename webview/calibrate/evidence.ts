import { plain, signedTenth, unitOf } from "../../src/core/verdict.js";
import type { HeadSetEntry } from "../../src/protocol/calibrate-panel.js";
import type { Evidence } from "../../src/protocol/calibration.js";
import { h } from "../dom.js";
import { dots } from "./dots.js";
import { evidenceRows, probability, signed } from "./words.js";

/** What a head set rests on, in layers: a sentence, a picture, the numbers, how they were measured. */
export class EvidenceView {
  readonly element: HTMLElement;
  readonly #title = h("h2", { id: "evidence-title" });
  readonly #plain = h("p", { class: "plain", "data-name": "plain" });
  readonly #picture = h("div", { class: "picture" });
  readonly #rows = h("tbody", {});
  readonly #numbers: HTMLElement;
  readonly #how = h("div", { class: "how" });
  readonly #measured: HTMLElement;

  constructor() {
    const columns = ["", "heads", "score", "against no heads", "95 % interval"];
    const head = h("tr", {}, ...columns.map((name) => (name ? h("th", { scope: "col" }, name) : h("td", {}))));
    this.#numbers = h(
      "details",
      { "data-name": "numbers" },
      h("summary", {}, "The numbers"),
      h("table", { "data-name": "evidence" }, h("thead", {}, head), this.#rows),
    );
    this.#measured = h("details", { "data-name": "measured" }, h("summary", {}, "How it was measured"), this.#how);
    this.element = h(
      "section",
      { class: "evidence", "aria-labelledby": "evidence-title" },
      this.#title,
      this.#plain,
      this.#picture,
      this.#numbers,
      this.#measured,
    );
  }

  update(entry: HeadSetEntry | null): void {
    this.element.hidden = entry === null;
    if (!entry) return;
    const { evidence } = entry;
    this.element.dataset.standing = entry.standing;
    this.#title.textContent = `Evidence: ${entry.name}`;
    this.#plain.textContent = plain(entry);
    const rows = evidence && evidence.confirmedOn > 0 ? evidenceRows(entry, evidence) : [];
    this.#picture.hidden = rows.length < 2;
    this.#numbers.hidden = rows.length === 0;
    this.#measured.hidden = evidence === null;
    if (!evidence) return;
    const unit = unitOf(evidence);
    if (rows.length > 1) this.#picture.replaceChildren(dots(rows, unit));
    const difference = (value: number) => signedTenth(unit.value(value));
    this.#rows.replaceChildren(
      ...rows.map((row) =>
        h(
          "tr",
          {},
          h("th", { scope: "row" }, row.name),
          h("td", {}, row.heads),
          h("td", {}, unit.score(row.score)),
          h("td", {}, row.difference === null ? "" : `${difference(row.difference)} ${unit.name}`),
          h("td", {}, row.interval ? row.interval.map(difference).join(" to ") : ""),
        ),
      ),
      ...partsOf(evidence).map(({ name, calibrated, difference: points, interval }) =>
        h(
          "tr",
          {},
          h("th", { scope: "row" }, name),
          h("td", {}, String(entry.heads.length)),
          h("td", {}, `${(100 * calibrated).toFixed(1)} %`),
          h("td", {}, `${signedTenth(100 * points)} points`),
          h("td", {}, interval ? interval.map((one) => signedTenth(100 * one)).join(" to ") : ""),
        ),
      ),
    );
    this.#how.replaceChildren(...howMeasured(entry, evidence).map((sentence) => h("p", { class: "quiet" }, sentence)));
  }
}

interface PartRow {
  name: string;
  calibrated: number;
  difference: number;
  interval: readonly [number, number] | null;
}

/** The chosen set seen closer: other measures, each task, tasks that it was not chosen on, and what is left without any shift between labels. */
function partsOf({ measures = [], tasks = [], leaveOneOut = [], biasFree }: Evidence): PartRow[] {
  return [
    ...measures.map((one) => ({ ...one, name: `Chosen heads: ${one.name}` })),
    ...tasks.map((one) => ({ ...one, name: `Chosen heads on ${one.task}, n = ${one.n}` })),
    ...leaveOneOut.map((one) => ({ ...one, name: `Chosen without ${one.task}, on it, n = ${one.n}` })),
    ...(biasFree
      ? [{ ...biasFree, name: `Chosen heads: ${biasFree.measure}`, difference: biasFree.calibrated - biasFree.baseline, interval: null }]
      : []),
  ];
}

/** The last layer: parts, seeds, the search's own sentence; and, for code, what the numbers are logarithms of. */
function howMeasured({ heads, verdict }: HeadSetEntry, evidence: Evidence): string[] {
  const { task, chosenOn, validatedOn, confirmedOn, p, seed, metric, difference, interval, comparisons, smallestGain } = evidence;
  const validated = validatedOn === undefined ? "" : `, validated on ${validatedOn}`;
  if (heads.length === 0) {
    const compared = confirmedOn === 0 ? "" : ` The others were compared on n = ${confirmedOn} more.`;
    return [
      `Chosen on ${chosenOn} prompts of ${task}${validated}: no set did better than none there, so there was nothing to confirm.${compared}`,
      verdict,
    ];
  }
  return [
    `Measured on ${task}: chosen on ${chosenOn}${validated}, confirmed on n = ${confirmedOn} prompts that it was not chosen on, ${probability(p)}, seed ${seed}. Each prompt was answered with and without the heads; the interval is that of the paired differences.`,
    ...(comparisons === undefined ? [] : [`${comparisons} candidate sets met on validation; the winner alone was confirmed.`]),
    ...(smallestGain === undefined || smallestGain <= 0
      ? []
      : [
          `So many prompts show a gain of ${unitOf(evidence).value(smallestGain).toFixed(1)} ${unitOf(evidence).name} in four of five cases.`,
        ]),
    ...(metric === "log-likelihood"
      ? [
          `The score is the mean probability that the model gives to the token that stands in the file. It was measured as the mean logarithm of that probability, in nats a token: ${signed(difference)} (95 % ${signed(interval[0])} to ${signed(interval[1])}). One nat is a factor of 2.72 in probability.`,
        ]
      : []),
    verdict,
  ];
}
