import { visibleToken } from "../../src/core/sinks/values.js";
import type { TokenProbability } from "../../src/protocol/engine.js";
import { h } from "../dom.js";
import type { ReadModel } from "./model.js";

const SHOWN = 8;

/** The likeliest next tokens without calibration and, where a head set is on, with it; one line per token, two bars. */
export class NextTokens {
  readonly element: HTMLElement;
  readonly #note = h("p", { class: "quiet" });
  readonly #head = h("tr", {});
  readonly #rows = h("tbody", {});

  constructor() {
    this.element = h(
      "section",
      { class: "next", "aria-labelledby": "next-title" },
      h("h2", { id: "next-title" }, "Next token"),
      this.#note,
      h("table", { "data-name": "next" }, h("thead", {}, this.#head), this.#rows),
    );
  }

  update({ reading, state }: ReadModel): void {
    const { off, on } = reading.map.next;
    this.#note.textContent = on
      ? `With ${state.calibration?.name ?? "the head set"} against no calibration.`
      : "There is no head set for this prompt; calibrate to compare.";
    this.#head.replaceChildren(...["token", "off", ...(on ? ["on"] : [])].map((name) => h("th", { scope: "col" }, name)));
    this.#rows.replaceChildren(...likeliest(off, on).map((line) => this.#row(line, on !== null)));
  }

  #row({ text, off, on }: Line, both: boolean): HTMLElement {
    return h("tr", {}, h("th", { scope: "row" }, h("code", {}, visibleToken(text))), bar(off, "off"), both && bar(on, "on"));
  }
}

interface Line {
  text: string;
  off: number | null;
  on: number | null;
}

/** Tokens of both lists in the order of their larger probability. A token that one list does not name has no number there. */
export function likeliest(off: readonly TokenProbability[], on: readonly TokenProbability[] | null): Line[] {
  const lines = new Map<number, Line>();
  for (const { id, text, probability } of off) lines.set(id, { text, off: probability, on: null });
  for (const { id, text, probability } of on ?? []) lines.set(id, { text, off: lines.get(id)?.off ?? null, on: probability });
  return [...lines.values()].sort((a, b) => Math.max(b.off ?? 0, b.on ?? 0) - Math.max(a.off ?? 0, a.on ?? 0)).slice(0, SHOWN);
}

function bar(probability: number | null, kind: "off" | "on"): HTMLElement {
  const fill = h("i", { class: `bar ${kind}`, "aria-hidden": "true" });
  fill.style.width = `${100 * (probability ?? 0)}%`;
  return h(
    "td",
    {},
    h("span", { class: "track" }, fill),
    h("span", {}, probability === null ? "–" : `${(100 * probability).toFixed(1)} %`),
  );
}
