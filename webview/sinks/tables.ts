import { readable } from "../../src/core/picture/scale.js";
import { shortestFloat32 } from "../../src/core/sinks/csv-json.js";
import { LEAST_ROWS, meansOf, visibleToken } from "../../src/core/sinks/values.js";
import type { Head } from "../../src/protocol/calibration.js";
import { h } from "../dom.js";
import type { ReadModel } from "./model.js";

/** Lines of one table; the rest is in the CSV, and the table says so. */
const MAX_LINES = 400;

/** The same in words and numbers: for screen readers, and for everybody who wants to read rather than see. */
export class Tables {
  readonly element: HTMLElement;
  readonly #sinksTitle = h("h2", { id: "sinks-title" });
  readonly #sinks = h("tbody", {});
  readonly #sinksNote = h("p", { class: "quiet" });
  readonly #heads = h("tbody", {});
  readonly #details: HTMLDetailsElement;
  #model: ReadModel | null = null;

  constructor(private readonly onOpen: (head: Head) => void) {
    this.#details = h(
      "details",
      { "data-name": "heads-details" },
      h("summary", {}, "All heads as a table"),
      h(
        "div",
        { class: "scroll", tabindex: 0, role: "region", "aria-label": "All heads as a table" },
        table("heads-table", ["layer", "head", "attention on sinks", "initial sink", "later sinks", "calibrated"], this.#heads),
      ),
    );
    this.#details.addEventListener("toggle", () => this.#fillHeads());
    this.#heads.addEventListener("click", (event) => {
      const row = (event.target as HTMLElement).closest("button");
      if (row) this.onOpen([Number(row.dataset.layer), Number(row.dataset.head)]);
    });
    this.element = h(
      "section",
      { class: "tables", "aria-labelledby": "sinks-title" },
      this.#sinksTitle,
      h(
        "div",
        { class: "scroll", tabindex: 0, role: "region", "aria-label": "Table of sinks" },
        table("sinks-table", ["key", "token", "column mean", "role"], this.#sinks),
      ),
      this.#sinksNote,
      this.#details,
    );
  }

  update(model: ReadModel): void {
    this.#model = model;
    const head = model.navigation.head;
    if (head) this.#fillSinks(model, head);
    else this.#fillCounts(model);
    this.#fillHeads();
  }

  #fillSinks({ reading }: ReadModel, head: Head): void {
    const means = meansOf(reading.map, head[0], head[1]);
    const lines = [...reading.roles(head)].sort(([a], [b]) => a - b);
    this.#sinksTitle.textContent = `Sinks of layer ${head[0]}, head ${head[1]}`;
    this.#sinks.replaceChildren(
      ...lines.slice(0, MAX_LINES).map(([key, role]) => {
        const cells = [String(key), visibleToken(reading.map.tokens[key] ?? ""), shortestFloat32(means[key] as number), role];
        return h("tr", {}, ...cells.map((cell) => h("td", {}, cell)));
      }),
    );
    this.#sinksNote.textContent =
      lines.length === 0
        ? `No column mean of this head is above ${readable(reading.limit)}: calibration leaves it as it is.`
        : [rest(lines.length), unjudged(reading.sinksOf(head).unjudged.length)].filter(Boolean).join(" ");
  }

  /** With no head open: the tokens that most heads use as a sink. */
  #fillCounts({ reading }: ReadModel): void {
    const { initial, later } = reading.counts;
    const { map } = reading;
    const keys = [...later.keys()].filter((key) => (initial[key] as number) + (later[key] as number) > 0);
    keys.sort((a, b) => (later[b] as number) + (initial[b] as number) - (later[a] as number) - (initial[a] as number) || a - b);
    const average = reading.tokenValues(null);
    this.#sinksTitle.textContent = "Sinks of all heads";
    this.#sinks.replaceChildren(
      ...keys.slice(0, MAX_LINES).map((key) => {
        const role = [
          (initial[key] as number) > 0 && `initial sink in ${initial[key]}`,
          (later[key] as number) > 0 && `sink in ${later[key]}`,
        ].filter(Boolean);
        const cells = [
          String(key),
          visibleToken(map.tokens[key] ?? ""),
          shortestFloat32(average[key] as number),
          `${role.join(", ")} heads`,
        ];
        return h("tr", {}, ...cells.map((cell) => h("td", {}, cell)));
      }),
    );
    this.#sinksNote.textContent =
      keys.length === 0
        ? map.tokens.length < LEAST_ROWS
          ? `This prompt is too short to tell: a token is judged where at least ${LEAST_ROWS} tokens see it, its own row included.`
          : `No head has a column mean above ${readable(reading.limit)}: there is nothing to calibrate in this prompt.`
        : rest(keys.length);
  }

  /** The long table is made only while it is open. */
  #fillHeads(): void {
    if (!this.#details.open || !this.#model) return;
    const { reading, state } = this.#model;
    const { map } = reading;
    const calibrated = new Set(state.calibration?.heads.map(([layer, head]) => `${layer},${head}`));
    this.#heads.replaceChildren(
      ...reading.sinks.map(({ layer, head, exempt, positions }, index) => {
        const open = h(
          "button",
          { type: "button", class: "link", "data-layer": layer, "data-head": head, "aria-label": `Open layer ${layer}, head ${head}` },
          String(head),
        );
        const cells = [
          shortestFloat32(reading.masses[index] as number),
          exempt === null ? "none" : `${visibleToken(map.tokens[exempt] ?? "")} (${exempt})`,
          String(positions.length),
          calibrated.has(`${layer},${head}`) ? "yes" : "",
        ];
        return h("tr", {}, h("td", {}, String(layer)), h("td", {}, open), ...cells.map((cell) => h("td", {}, cell)));
      }),
    );
  }
}

function table(name: string, columns: string[], body: HTMLElement): HTMLElement {
  return h(
    "table",
    { "data-name": name },
    h("thead", {}, h("tr", {}, ...columns.map((column) => h("th", { scope: "col" }, column)))),
    body,
  );
}

/** Calibration counts them all the same; only the reading does not. */
function unjudged(count: number): string {
  if (count === 0) return "";
  return `${count === 1 ? "One token is" : `${count} tokens are`} not judged: fewer than ${LEAST_ROWS} tokens see ${count === 1 ? "it" : "them"}, or even attention would give as much at that place. Calibration counts ${count === 1 ? "it" : "them"} all the same.`;
}

function rest(count: number): string {
  return count > MAX_LINES ? `${count - MAX_LINES} more are in the CSV export.` : "";
}
