import type { CalibratePanelState, CalibrateToHost } from "../../src/protocol/calibrate-panel.js";
import { button, checkbox, dropdown, setOptions, textField } from "../controls.js";
import { h } from "../dom.js";
import type { CalibrateNavigation } from "./navigation.js";
import { measuredOn } from "./words.js";

export interface FormOptions {
  post(message: CalibrateToHost): void;
  change(patch: Partial<CalibrateNavigation>): void;
}

/** What to measure on, how long, by which rule; and the buttons that start, go on and cancel. */
export class Form {
  readonly element: HTMLElement;
  readonly #place: ReturnType<typeof dropdown>;
  readonly #method: ReturnType<typeof dropdown>;
  readonly #budget: ReturnType<typeof textField>;
  readonly #tasks = h("div", { class: "row tasks", role: "group", "aria-label": "Tasks", "data-name": "tasks" });
  readonly #blocked = h("p", { class: "quiet", "data-name": "blocked" });
  readonly #start: ReturnType<typeof button>;
  readonly #resume: ReturnType<typeof button>;
  readonly #cancel: ReturnType<typeof button>;
  readonly #resumeNote = h("span", { class: "quiet" });
  readonly #fields: HTMLElement;
  #known = "";
  #navigation: CalibrateNavigation | null = null;

  constructor(private readonly options: FormOptions) {
    this.#place = dropdown(
      "Measure on",
      [],
      "workspace",
      (place) => options.change({ place: place as CalibrateNavigation["place"] }),
      "place",
    );
    this.#method = dropdown(
      "Method",
      [
        { value: "act", label: "ACT: damp later sinks" },
        { value: "zero-tuning", label: "ZeroTuning: scale the initial token" },
      ],
      "act",
      (method) => options.change({ method: method as CalibrateNavigation["method"] }),
      "method",
    );
    this.#budget = textField("Minutes", { name: "budget" });
    this.#budget.addEventListener("change", () => {
      const minutes = Number(this.#budget.value.replace(",", "."));
      if (minutes > 0 && minutes <= 1440) options.change({ budgetMinutes: minutes });
      else this.#budget.value = String(this.#navigation?.budgetMinutes ?? 10);
    });
    this.#start = button("Calibrate", () => this.#begin(), { look: "primary", name: "start" });
    this.#resume = button("Go on", () => options.post({ type: "resume" }), { name: "resume" });
    this.#cancel = button("Cancel", () => options.post({ type: "cancel" }), { name: "cancel" });
    this.#fields = h(
      "div",
      { class: "fields" },
      field("Measure on", this.#place),
      field("Minutes", this.#budget),
      field("Method", this.#method),
    );
    this.element = h(
      "section",
      { class: "form", "aria-label": "Start a search" },
      this.#fields,
      this.#tasks,
      h("div", { class: "row" }, this.#start, this.#cancel, this.#resume, this.#resumeNote),
      this.#blocked,
    );
  }

  update(state: CalibratePanelState, navigation: CalibrateNavigation): void {
    this.#navigation = navigation;
    const busy = state.phase === "starting" || state.phase === "running" || state.phase === "cancelling";
    this.#fill(state, navigation);
    this.#fields.hidden = busy;
    this.#tasks.hidden = busy || navigation.place !== "tasks";
    this.#start.hidden = busy;
    this.#start.disabled =
      state.blocked !== null || (navigation.place === "tasks" ? navigation.tasks.length === 0 : state.workspace === null);
    this.#cancel.hidden = !busy;
    this.#cancel.disabled = state.phase === "cancelling";
    const resumable = busy ? null : state.resumable;
    this.#resume.hidden = resumable === null;
    this.#resume.disabled = state.blocked !== null;
    this.#resumeNote.textContent = resumable ? `with the search on ${measuredOn(resumable.place)} where it stopped` : "";
    this.#blocked.textContent = state.blocked ?? "";
    this.#blocked.hidden = state.blocked === null || busy;
  }

  #begin(): void {
    const navigation = this.#navigation;
    if (!navigation) return;
    const { place, tasks, budgetMinutes, method } = navigation;
    this.options.post({
      type: "start",
      place: place === "tasks" ? { kind: "tasks", tasks } : { kind: "workspace" },
      budgetMinutes,
      method,
    });
  }

  #fill(state: CalibratePanelState, navigation: CalibrateNavigation): void {
    const known = JSON.stringify([state.workspace, state.tasks, navigation]);
    if (known === this.#known) return;
    this.#known = known;
    const places = [
      { value: "workspace", label: state.workspace ? `The files of ${state.workspace}` : "This workspace (no trusted folder is open)" },
      { value: "tasks", label: "Named tasks" },
    ];
    setOptions(this.#place, places, navigation.place);
    this.#method.value = navigation.method;
    this.#budget.value = String(navigation.budgetMinutes);
    this.#tasks.replaceChildren(
      ...state.tasks.map((task) => checkbox(task, navigation.tasks.includes(task), (on) => this.#toggle(task, on), `task-${task}`)),
    );
  }

  #toggle(task: string, on: boolean): void {
    const others = (this.#navigation?.tasks ?? []).filter((other) => other !== task);
    this.options.change({ tasks: on ? [...others, task] : others });
  }
}

function field(label: string, control: HTMLElement): HTMLElement {
  return h("div", { class: "field" }, h("span", { class: "quiet", "aria-hidden": "true" }, label), control);
}
