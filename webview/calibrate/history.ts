import type { CalibrateToHost, HeadSetEntry } from "../../src/protocol/calibrate-panel.js";
import { button, checkbox, setChecked } from "../controls.js";
import { h, reconcile } from "../dom.js";
import { gain } from "./words.js";

/** Head sets that were found or imported, newest first: where each was measured and what it brought there; on, off, export, remove. */
export class History {
  readonly element: HTMLElement;
  readonly #list = h("ul", { class: "history-list" });
  #drawn = "";
  readonly #empty = h("p", { class: "quiet" }, "No head set yet. A search ends with one, or import a file.");

  constructor(
    private readonly post: (message: CalibrateToHost) => void,
    private readonly onShow: (id: string) => void,
  ) {
    this.element = h(
      "section",
      { class: "history", "aria-labelledby": "history-title" },
      h(
        "div",
        { class: "row spread" },
        h("h2", { id: "history-title" }, "Head sets"),
        h(
          "span",
          { class: "row" },
          button("Import…", () => post({ type: "import" }), { name: "import" }),
          button("Show sinks", () => post({ type: "sinks" }), { name: "sinks" }),
        ),
      ),
      this.#empty,
      this.#list,
    );
  }

  update(entries: readonly HeadSetEntry[], shown: string | null): void {
    // Ten snapshots a second come while a search runs, and the history is the same in all of them.
    const drawn = JSON.stringify([entries, shown]);
    if (drawn === this.#drawn) return;
    this.#drawn = drawn;
    this.#empty.hidden = entries.length > 0;
    reconcile(
      this.#list,
      entries,
      (entry) => entry.id,
      (entry) => this.#create(entry),
      (element, entry) => update(element, entry, entry.id === shown),
    );
  }

  #create({ id, name }: HeadSetEntry): HTMLElement {
    const toggle = checkbox("On", false, (on) => this.post({ type: "switch", id, on }), "switch");
    toggle.setAttribute("aria-label", `${name} on`);
    return h(
      "li",
      { "data-name": "head-set" },
      h(
        "div",
        { class: "row spread" },
        h("button", { type: "button", class: "link", "data-name": "open", onclick: () => this.onShow(id) }, name),
        toggle,
      ),
      h("p", { class: "facts" }),
      h("p", { class: "quiet refused" }),
      h(
        "div",
        { class: "row" },
        button("Export", () => this.post({ type: "export", id }), { title: `Export ${name}`, name: "export" }),
        button("Remove", () => this.post({ type: "remove", id }), { title: `Remove ${name}`, name: "remove" }),
      ),
    );
  }
}

function update(element: HTMLElement, entry: HeadSetEntry, shown: boolean): void {
  const { evidence, heads, createdAt, on, refused, model, method } = entry;
  element.classList.toggle("on", on);
  element.querySelector("[data-name=open]")?.setAttribute("aria-current", String(shown));
  const toggle = element.querySelector("[data-name=switch]") as ReturnType<typeof checkbox>;
  setChecked(toggle, on);
  toggle.disabled = refused !== null;
  const facts = [
    heads.length === 1 ? "1 head" : `${heads.length} heads`,
    method === "act" ? `β ${entry.beta}` : `initial token × ${entry.beta}`,
    model,
    new Date(createdAt).toLocaleString("en", { dateStyle: "medium", timeStyle: "short" }),
    !evidence
      ? "no evidence"
      : heads.length > 0
        ? `${gain(evidence)} on ${evidence.task}`
        : `nothing better than no heads on ${evidence.task}`,
  ];
  (element.querySelector(".facts") as HTMLElement).textContent = facts.join(" · ");
  const note = element.querySelector(".refused") as HTMLElement;
  note.hidden = refused === null;
  note.textContent = refused ?? "";
}
