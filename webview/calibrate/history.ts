import { USE_NAMES } from "../../src/core/uses.js";
import { gain } from "../../src/core/verdict.js";
import type { CalibrateToHost, HeadSetEntry } from "../../src/protocol/calibrate-panel.js";
import { button, checkbox, dropdown } from "../controls.js";
import { h, reconcile } from "../dom.js";

type Scope = "workspace" | "user";

/** Head sets that were found or imported, newest first: what each was measured for and what it brought there; on, off, export, remove. */
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

  #create({ id, name, use }: HeadSetEntry): HTMLElement {
    const own = USE_NAMES[use];
    const scope = dropdown(
      `Where ${name} is on`,
      [
        { value: "workspace", label: "in this workspace" },
        { value: "user", label: "everywhere" },
      ],
      use === "completions" ? "workspace" : "user",
      (value) => {
        if (toggle.checked) this.post({ type: "switch", id, on: true, scope: value as Scope });
      },
      "scope",
    );
    const send = (on: boolean) => this.post({ type: "switch", id, on, scope: scope.value as Scope });
    const toggle = checkbox(`On for ${own}`, false, send, "switch");
    toggle.setAttribute("aria-label", `${name} on for ${own}`);
    const anyway = button("Try it anyway…", () => send(true), { title: `Try it anyway: ${name} for ${own}`, name: "anyway" });
    return h(
      "li",
      { "data-name": "head-set" },
      h(
        "div",
        { class: "row spread" },
        h("button", { type: "button", class: "link", "data-name": "open", onclick: () => this.onShow(id) }, name),
        h("span", { class: "row" }, toggle, anyway, scope),
      ),
      h("p", { class: "facts" }),
      h("p", { class: "quiet elsewhere" }),
      h("p", { class: "quiet refused" }),
      h(
        "div",
        { class: "row" },
        button("Export", () => this.post({ type: "export", id }), { title: `Export ${name}`, name: "export" }),
        button("Remove", () => this.post({ type: "remove", id }), { title: `Remove ${name}`, name: "remove" }),
        button("Try for another use…", () => this.post({ type: "try", id }), { title: `Try for another use: ${name}`, name: "try" }),
      ),
    );
  }
}

/** A set that is not known to help has no switch that could be hit by accident, but a button that asks first. */
function update(element: HTMLElement, entry: HeadSetEntry, shown: boolean): void {
  const { use, evidence, standing, applied, heads, createdAt, refused, model } = entry;
  const own = applied.find((one) => one.use === use);
  const named = (name: string) => element.querySelector(`[data-name=${name}]`) as HTMLElement & { disabled: boolean; value: string };
  element.dataset.standing = standing;
  element.classList.toggle("on", own !== undefined);
  named("open").setAttribute("aria-current", String(shown));
  const offered = standing === "helps" || own !== undefined;
  const toggle = named("switch") as unknown as ReturnType<typeof checkbox>;
  toggle.hidden = !offered;
  toggle.checked = own !== undefined;
  toggle.disabled = refused !== null && own === undefined;
  named("anyway").hidden = offered || refused !== null;
  named("try").hidden = refused !== null;
  named("scope").hidden = refused !== null;
  if (own) named("scope").value = own.scope;
  const facts = [
    `for ${USE_NAMES[use]}`,
    heads.length === 1 ? "1 head" : `${heads.length} heads`,
    strength(entry),
    model,
    new Date(createdAt).toLocaleString("en", { dateStyle: "medium", timeStyle: "short" }),
    !evidence
      ? "no evidence"
      : heads.length > 0
        ? `${gain(evidence)} on ${evidence.task}`
        : `nothing better than no heads on ${evidence.task}`,
  ];
  (element.querySelector(".facts") as HTMLElement).textContent = facts.join(" · ");
  say(element, ".elsewhere", trials(entry));
  say(element, ".refused", refused ?? "");
}

/** "β 0.4", "β 0.2 to 1.4, by head", "initial token × 2". */
function strength({ method, beta, betas }: HeadSetEntry): string {
  if (method !== "act") return `initial token × ${beta}`;
  if (!betas || betas.length === 0) return `β ${beta}`;
  const ends = [Math.min(...betas), Math.max(...betas)].map((one) => String(Number(one.toFixed(2))));
  return `β ${ends.join(" to ")}, by head`;
}

/** Where a set is in force without being known to help there. */
function trials({ applied }: HeadSetEntry): string {
  const on = applied.filter(({ anyway }) => anyway).map(({ use }) => USE_NAMES[use]);
  return on.length > 0 ? `On trial for ${on.join(" and ")}: it is not known to help there.` : "";
}

function say(element: HTMLElement, selector: string, text: string): void {
  const line = element.querySelector(selector) as HTMLElement;
  line.hidden = text === "";
  line.textContent = text;
}
