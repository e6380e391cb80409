import type { CalibratePanelState, CalibrateToHost, CalibrateToView } from "../../src/protocol/calibrate-panel.js";
import { progressRing } from "../controls.js";
import { h } from "../dom.js";
import { setText } from "../text.js";
import { onThemeChange } from "../theme.js";
import { whatIsThis } from "../what-is-this.js";
import { EvidenceView } from "./evidence.js";
import { Form } from "./form.js";
import { History } from "./history.js";
import { InForce } from "./in-force.js";
import type { CalibrateNavigation } from "./navigation.js";
import { Progress } from "./progress.js";
import { Scores } from "./scores.js";

export interface CalibratePort {
  post(message: CalibrateToHost): void;
  navigation: CalibrateNavigation;
}

/** Events of a running search come ten a second; nobody reads numbers that fast. */
const BETWEEN_DRAWS_MS = 250;

/** The calibrate panel: draws the newest snapshot. It keeps nothing of a search itself, so a reload or a hidden panel loses nothing. */
export class CalibrateView {
  readonly element = h("div", { class: "calibrate" });
  readonly #model = h("p", { class: "quiet" });
  readonly #verdict = h("p", { class: "verdict", role: "status", "data-name": "verdict" });
  readonly #notice = h("p", { class: "quiet", role: "status", "data-name": "notice" });
  readonly #busy = progressRing("Searching");
  readonly #inForce = new InForce();
  readonly #form: Form;
  readonly #progress = new Progress();
  readonly #scores = new Scores();
  readonly #evidence = new EvidenceView();
  readonly #history: History;
  #state: CalibratePanelState | null = null;
  #timer = 0;
  #drawn = 0;

  constructor(private readonly port: CalibratePort) {
    const post = (message: CalibrateToHost) => port.post(message);
    const change = (patch: Partial<CalibrateNavigation>) => {
      port.navigation = { ...port.navigation, ...patch };
      this.#draw();
    };
    this.#form = new Form({ post, change });
    this.#history = new History(post, (entry) => change({ entry }));
    this.element.append(
      h(
        "header",
        {},
        h("h1", {}, "Calibrate heads"),
        this.#model,
        h(
          "p",
          { class: "quiet" },
          "Finds the attention heads that are worth calibrating, on prompts of your own, and checks the gain on prompts that it did not choose on. Your prompts stay on this machine; the data of named tasks is downloaded where it is not there yet.",
        ),
        whatIsThis(),
      ),
      this.#inForce.element,
      this.#form.element,
      h("div", { class: "row" }, this.#busy, this.#verdict),
      this.#notice,
      this.#progress.element,
      h(
        "div",
        { class: "columns-layout" },
        this.#scores.element,
        h("div", { class: "main" }, this.#evidence.element, this.#history.element),
      ),
    );
    onThemeChange(() => this.#scores.redraw());
    post({ type: "ready" });
  }

  receive(message: CalibrateToView): void {
    if (message.type === "notice") {
      this.#notice.textContent = message.message;
      return;
    }
    const running = this.#state?.phase === "running" && message.state.phase === "running";
    this.#state = message.state;
    clearTimeout(this.#timer);
    const wait = running ? Math.max(0, this.#drawn + BETWEEN_DRAWS_MS - performance.now()) : 0;
    if (wait === 0) this.#draw();
    else this.#timer = window.setTimeout(() => this.#draw(), wait);
  }

  #draw(): void {
    const state = this.#state;
    if (!state) return;
    this.#drawn = performance.now();
    const { navigation } = this.port;
    const busy = state.phase === "starting" || state.phase === "running" || state.phase === "cancelling";
    setText(
      this.#model,
      state.model ? `${state.model.name}, ${state.model.layers} layers × ${state.model.heads} heads` : "No model is loaded.",
    );
    // While it runs the bars move; a ring that turns as well would cost more than the whole panel.
    this.#busy.hidden = state.phase !== "starting" && state.phase !== "cancelling";
    setText(this.#verdict, state.message);
    this.#verdict.dataset.phase = state.phase === "done" ? (state.helps ? "helps" : "does-not-help") : state.phase;
    this.#inForce.update(state.uses);
    this.#form.update(state, navigation);
    this.#progress.update(state);
    const entry = state.history.find(({ id }) => id === navigation.entry) ?? state.history[0] ?? null;
    const own = state.phase === "done" ? state.history[0] : undefined;
    const heads = state.run?.scores.heads ?? 0;
    this.#scores.update(state.run, new Set(own?.heads.map(([layer, head]) => layer * heads + head)));
    this.#evidence.update(busy ? null : entry);
    this.#history.update(state.history, entry?.id ?? null);
  }
}
