import { NOT_AN_EXPLANATION } from "../../src/core/sinks/values.js";
import type { HeadMatrix, HeadMatrixParams, SinkMap } from "../../src/protocol/engine.js";
import type { SinkPanelState, SinksToHost, SinksToView } from "../../src/protocol/sink-panel.js";
import { button, progressRing } from "../controls.js";
import { h } from "../dom.js";
import { TILE_SIDE, type TileWish } from "../paint/tiles.js";
import { onThemeChange, themeKind } from "../theme.js";
import { Bar } from "./bar.js";
import { type ExportFormat, exportFile } from "./exports.js";
import { HeadView } from "./head.js";
import { Heads } from "./heads.js";
import { type Model, type ReadModel, readingFor } from "./model.js";
import { type SinkNavigation, START } from "./navigation.js";
import { NextTokens } from "./next.js";
import type { Reading } from "./reading.js";
import { Tables } from "./tables.js";
import { Tokens } from "./tokens.js";

/** What the view needs of its bridge. */
export interface SinkPort {
  post(message: SinksToHost): void;
  navigation: SinkNavigation;
}

interface Waiting {
  resolve(matrix: HeadMatrix): void;
  reject(error: Error): void;
}

/** The sink panel: keeps the newest snapshot, the map that belongs to it and where the user is, and draws its parts from these. */
export class SinkView {
  readonly element = h("div", { class: "sinks" });
  readonly #bar: Bar;
  readonly #tokens: Tokens;
  readonly #heads: Heads;
  readonly #head: HeadView;
  readonly #next = new NextTokens();
  readonly #tables: Tables;
  readonly #message = h("p", { class: "message", role: "status", "data-name": "message" });
  readonly #busy = progressRing("Working");
  readonly #cancel = button("Cancel", () => this.port.post({ type: "cancel" }), { name: "cancel" });
  readonly #content: HTMLElement;
  #state: SinkPanelState | null = null;
  #map: SinkMap | null = null;
  #reading: Reading | null = null;
  #requests = new Map<number, Waiting>();
  #lastRequest = 0;

  constructor(private readonly port: SinkPort) {
    const change = (patch: Partial<SinkNavigation>) => this.#change(patch);
    this.#bar = new Bar({
      change,
      onOpen: (source) => port.post({ type: "open", source }),
      onExport: (scope, format) => this.#export(scope, format),
      onDecorate: (on) => port.post({ type: "decorate", on, head: port.navigation.head }),
    });
    this.#tokens = new Tokens({
      onHover: (key) => this.#head.band(key),
      onPick: (key) => this.#pickToken(key),
      onWindow: (firstToken) => change({ firstToken }),
    });
    this.#heads = new Heads({
      onOpen: (head) => change({ head, view: null, lock: null }),
      onMeasure: (measure) => change({ measure }),
    });
    this.#head = new HeadView({ change, fetch: (wish) => this.#fetch(wish), onMark: (keys) => this.#tokens.mark(keys) });
    this.#tables = new Tables((head) => change({ head, view: null, lock: null }));
    this.#content = h(
      "div",
      { class: "content" },
      this.#tokens.element,
      h(
        "div",
        { class: "columns-layout" },
        h("div", { class: "side" }, this.#heads.element, this.#next.element),
        h("div", { class: "main" }, this.#head.element, this.#tables.element),
      ),
    );
    this.element.append(
      this.#bar.element,
      h("div", { class: "row status-row" }, this.#busy, this.#message, this.#cancel),
      this.#content,
      h("p", { class: "note" }, NOT_AN_EXPLANATION),
    );
    onThemeChange(() => this.#draw());
    port.post({ type: "ready", mapId: null });
  }

  receive(message: SinksToView): void {
    switch (message.type) {
      case "state":
        this.#state = message.state;
        this.#draw();
        break;
      case "map":
        this.#map = message.map;
        if (this.port.navigation.mapId !== message.map.id) {
          this.port.navigation = { ...this.port.navigation, mapId: message.map.id, view: null, lock: null, firstToken: 0 };
        }
        this.#draw();
        break;
      case "matrix":
        this.#settle(message.request)?.resolve(message.matrix);
        break;
      case "matrix-failed":
        this.#settle(message.request)?.reject(new Error(message.message));
        break;
      case "notice":
        this.#message.textContent = message.message;
        break;
    }
  }

  #draw(): void {
    const state = this.#state;
    if (!state) return;
    const map = this.#map && this.#map.id === state.mapId ? this.#map : null;
    const navigation = fitting(this.port.navigation, map);
    const wanted = { threshold: navigation.threshold ?? state.threshold, hideInitial: navigation.hideInitial };
    this.#reading = map && readingFor(map, wanted, this.#reading);
    const model: Model = { state, navigation, theme: themeKind(), reading: this.#reading };
    this.#bar.update(model);
    this.#message.textContent = state.phase === "ready" ? "" : state.message;
    this.#message.classList.toggle("failed", state.phase === "failed");
    this.#busy.hidden = state.phase !== "working";
    this.#cancel.hidden = state.phase !== "working";
    this.#content.hidden = model.reading === null;
    if (!isRead(model)) return;
    this.#tokens.update(model);
    this.#heads.update(model);
    this.#head.update(model);
    this.#next.update(model);
    this.#tables.update(model);
  }

  #change(patch: Partial<SinkNavigation>): void {
    const before = this.port.navigation;
    this.port.navigation = { ...before, ...patch };
    if (patch.threshold) this.port.post({ type: "threshold", threshold: patch.threshold });
    if (this.#state?.decorations && (patch.head !== undefined || patch.threshold)) {
      this.port.post({ type: "decorate", on: true, head: this.port.navigation.head });
    }
    const onlyTheHeatmap = Object.keys(patch).every((key) => key === "view" || key === "lock");
    if (onlyTheHeatmap && this.#state && this.#reading) {
      this.#head.update({
        state: this.#state,
        navigation: fitting(this.port.navigation, this.#reading.map),
        theme: themeKind(),
        reading: this.#reading,
      });
    } else this.#draw();
  }

  /** A click on a token locks its column in the open head: the row that looks at it last. */
  #pickToken(key: number): void {
    const { head } = this.port.navigation;
    if (!head || !this.#reading) return;
    this.#change({ lock: { row: this.#reading.map.tokens.length - 1, column: key }, view: null });
  }

  #fetch({ mapId, layer, head, view }: TileWish): Promise<HeadMatrix> {
    const request = ++this.#lastRequest;
    const range: [number, number] = [view.row, view.row + view.side];
    const columns: [number, number] = [view.column, view.column + view.side];
    const params: HeadMatrixParams = { id: mapId, layer, head, maxSide: TILE_SIDE, rows: range, columns };
    return new Promise((resolve, reject) => {
      this.#requests.set(request, { resolve, reject });
      this.port.post({ type: "matrix", request, params });
    });
  }

  #settle(request: number): Waiting | undefined {
    const waiting = this.#requests.get(request);
    this.#requests.delete(request);
    return waiting;
  }

  #export(scope: "prompt" | "head", format: ExportFormat): void {
    if (!this.#state || !this.#reading) return;
    const model: ReadModel = { state: this.#state, navigation: this.port.navigation, theme: themeKind(), reading: this.#reading };
    const tile = scope === "head" ? this.#head.wholeTile() : undefined;
    if (scope === "head" && !tile) {
      this.#message.textContent = "Open a head in the grid first; then it can be exported.";
      return;
    }
    exportFile(format, model, tile).then(
      (file) => this.port.post({ type: "export", ...file }),
      (error: Error) => {
        this.#message.textContent = error.message;
      },
    );
  }
}

function isRead(model: Model): model is ReadModel {
  return model.reading !== null;
}

/** Where the user was may not exist in this prompt or model. */
function fitting(navigation: SinkNavigation, map: SinkMap | null): SinkNavigation {
  if (!map) return { ...navigation, head: null };
  const { head } = navigation;
  const known = head && head[0] < map.layers && head[1] < map.heads ? head : null;
  const lock = navigation.lock && Math.max(navigation.lock.row, navigation.lock.column) < map.tokens.length ? navigation.lock : null;
  return navigation.mapId === map.id
    ? { ...navigation, head: known, lock }
    : { ...START, ...navigation, head: known, view: null, lock: null };
}
