import * as path from "node:path";
import * as vscode from "vscode";
import { type Calibration, DEFAULT_THRESHOLD, type Head, type Threshold } from "../../protocol/calibration.js";
import type { HeadMatrix, HeadMatrixParams, ModelInfo, SinkMap } from "../../protocol/engine.js";
import { ActError, toActError } from "../../protocol/errors.js";
import {
  type SinkPanelState,
  type SinkSource,
  type SinksToHost,
  SinksToHostSchema,
  type SinksToView,
  SinksToViewSchema,
} from "../../protocol/sink-panel.js";
import type { ActiveSet } from "../calibration/active-sets.js";
import { registerCommand, runCommand } from "../commands.js";
import type { Services } from "../services.js";
import { type Connection, connectWebview } from "../webview.js";
import { SinkDecorations } from "./decorations.js";
import { type Prompt, SinkPrompts } from "./prompts.js";

const VIEW_TYPE = "act.sinks";

/** The sink panel's host: finds the prompt, asks the engine once for its map, and for heads on request; the newest request wins. */
export class SinkPanel implements vscode.Disposable {
  private panel: vscode.WebviewPanel | null = null;
  private connection: (Connection<SinksToView> & vscode.Disposable) | null = null;
  private readonly decorations = new SinkDecorations();
  private readonly prompts: SinkPrompts;
  private state: SinkPanelState;
  private map: SinkMap | null = null;
  private prompt: Prompt | null = null;
  private active: ActiveSet | null = null;
  private calibration: Calibration | null = null;
  /** The engine's handle for the prompt; the panel's own (`map.id`) outlives a restart of the engine. */
  private engineId = "";
  private asking: AbortController | null = null;
  private reading: AbortController | null = null;
  private serial = 0;
  private head: Head | null = null;
  private readonly listening: vscode.Disposable;

  constructor(private readonly services: Services) {
    this.prompts = new SinkPrompts(services);
    this.state = this.fresh();
    this.listening = vscode.Disposable.from(
      this.decorations,
      registerCommand("act.showSinks", (argument: unknown) => this.open(argument)),
      registerCommand("act.showSinksOfSelection", () => this.show({ kind: "selection" })),
      registerCommand("act.toggleSinkDecorations", () => this.toggleDecorations()),
      vscode.window.registerWebviewPanelSerializer(VIEW_TYPE, {
        deserializeWebviewPanel: async (panel) => this.adopt(panel),
      }),
      services.sets.onDidChange(() => this.push()),
    );
  }

  /** The map on screen, for tests. */
  get current(): SinkMap | null {
    return this.map;
  }

  dispose(): void {
    this.asking?.abort();
    this.reading?.abort();
    this.panel?.dispose();
    this.listening.dispose();
  }

  private async open(argument: unknown): Promise<void> {
    if (this.prompts.takeChat(argument)) return await this.show({ kind: "chat" });
    const { completion, chat, selection } = this.prompts.available();
    if (this.map && this.panel) {
      this.reveal();
      return;
    }
    if (completion) return await this.show({ kind: "completion" });
    if (chat) return await this.show({ kind: "chat" });
    if (selection) return await this.show({ kind: "selection" });
    this.reveal();
    this.set({
      phase: "empty",
      message: "There is no prompt yet. Type in a file until a ghost text appears, ask the chat, select some text, or type a prompt here.",
    });
  }

  /** Shows the sinks of a prompt after at most one prefill; where a head set is on, a second one adds the next tokens that it leads to. */
  async show(source: SinkSource): Promise<void> {
    this.reveal();
    this.asking?.abort();
    const asking = new AbortController();
    this.asking = asking;
    const { signal } = asking;
    this.decorations.clear();
    this.map = null;
    this.set({
      phase: "working",
      message: "Reading the prompt. A long one takes some seconds for every thousand tokens.",
      label: "",
      source,
      mapId: null,
      decorations: false,
    });
    try {
      const prompt = this.prompts.of(source);
      this.prompt = prompt;
      this.set({ label: prompt.label });
      const model = await this.services.engine.model(signal);
      this.active = await this.setFor(prompt, model);
      this.calibration = this.active?.preview(model) ?? null;
      const id = `${++this.serial}`;
      const draw = (map: SinkMap) => {
        if (signal.aborted) return;
        this.engineId = map.id;
        this.map = { ...map, id };
        this.set({
          phase: "ready",
          message: "",
          mapId: id,
          model: this.services.engine.modelName ?? model.name,
          calibration: this.calibrationState(),
          threshold: this.threshold(),
        });
        this.pushMap();
      };
      draw(await this.request(prompt.params, this.threshold(), signal, draw));
    } catch (error) {
      const failure = toActError(error);
      if (failure.code === "cancelled" && signal.aborted) return; // a newer prompt is on its way
      this.set({ phase: "failed", message: failure.message });
    }
  }

  private request(
    params: Prompt["params"],
    threshold: Threshold,
    signal: AbortSignal,
    onProgress?: (map: SinkMap) => void,
  ): Promise<SinkMap> {
    return this.services.engine.request(
      "sinks",
      { ...params, calibration: this.calibration, threshold },
      { signal, ...(onProgress && { onProgress }) },
    );
  }

  private async receive(message: SinksToHost): Promise<void> {
    switch (message.type) {
      case "ready":
        this.push();
        if (this.map && message.mapId !== this.map.id) this.pushMap();
        return;
      case "open":
        return await this.show(message.source);
      case "cancel":
        this.asking?.abort();
        return this.set({ phase: "empty", message: "Cancelled. Choose a prompt to see where the model's heads look." });
      case "matrix":
        return await this.matrix(message.request, message.params);
      case "threshold":
        this.state = { ...this.state, threshold: message.threshold };
        return;
      case "decorate":
        this.head = message.head;
        return message.on ? await this.decorate() : this.undecorate();
      case "export":
        return await this.export(message.format, message.name, message.bytes);
      case "calibrate":
        await runCommand("act.calibrate");
    }
  }

  /** One head of the map. The engine forgets its map when it restarts; then the prompt is read again, once, from its own tokens. */
  private async matrix(request: number, params: HeadMatrixParams): Promise<void> {
    this.reading?.abort();
    const reading = new AbortController();
    this.reading = reading;
    try {
      const matrix = await this.askMatrix(params, reading.signal).catch(async (error: unknown) => {
        const { code } = toActError(error);
        if (!this.map || params.id !== this.map.id || (code !== "usage" && code !== "engine-gone")) throw error;
        this.engineId = (await this.request({ tokens: this.map.ids }, this.threshold(), reading.signal)).id;
        return await this.askMatrix(params, reading.signal);
      });
      this.connection?.push({ type: "matrix", request, matrix });
    } catch (error) {
      const { message } = toActError(error);
      this.connection?.push({ type: "matrix-failed", request, message });
    }
  }

  private async askMatrix(params: HeadMatrixParams, signal: AbortSignal): Promise<HeadMatrix> {
    if (!this.map || params.id !== this.map.id) throw new ActError("internal", "The panel shows another prompt by now.");
    return await this.services.engine.request("headMatrix", { ...params, id: this.engineId }, { signal });
  }

  private async toggleDecorations(): Promise<void> {
    if (this.decorations.visible) return this.undecorate();
    if (!this.map) await this.open(undefined);
    await this.decorate();
  }

  private async decorate(): Promise<void> {
    const problem = !this.map
      ? "There is no prompt whose sinks could be marked. Show the sinks of one first."
      : this.prompt?.origin
        ? null
        : "This prompt did not come from a file, so nothing can be marked there.";
    const marked =
      problem || !this.map || !this.prompt?.origin
        ? 0
        : await this.decorations.show(this.prompt.origin, this.map, this.head, this.state.threshold);
    if (problem) this.notice(problem);
    else if (marked === 0) this.notice("Nothing to mark: the file has changed since, or no sink of this prompt lies in it.");
    this.set({ decorations: this.decorations.visible });
  }

  private undecorate(): void {
    this.decorations.clear();
    this.set({ decorations: false });
  }

  private async export(format: string, name: string, bytes: Uint8Array): Promise<void> {
    const folder = vscode.workspace.workspaceFolders?.[0]?.uri;
    const target = await vscode.window.showSaveDialog({
      ...(folder && { defaultUri: vscode.Uri.joinPath(folder, path.basename(name)) }),
      filters: { [format.toUpperCase()]: [format] },
      title: "Export attention sinks",
    });
    if (!target) return this.notice("Nothing was written.");
    try {
      await vscode.workspace.fs.writeFile(target, bytes);
      this.notice(`Written to ${vscode.workspace.asRelativePath(target)}.`);
    } catch (error) {
      this.notice(`${target.fsPath} could not be written: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  private reveal(): void {
    if (this.panel) {
      this.panel.reveal(undefined, true);
      return;
    }
    this.adopt(
      vscode.window.createWebviewPanel(
        VIEW_TYPE,
        "Attention Sinks",
        { viewColumn: vscode.ViewColumn.Beside, preserveFocus: true },
        { enableFindWidget: false },
      ),
    );
  }

  private adopt(panel: vscode.WebviewPanel): void {
    this.panel = panel;
    this.connection = connectWebview(panel.webview, {
      extension: this.services.context.extensionUri,
      view: "sinks",
      title: "Attention Sinks",
      fromView: SinksToHostSchema,
      toView: SinksToViewSchema,
      log: this.services.log,
      onMessage: (message) => this.receive(message),
    });
    panel.onDidDispose(() => {
      this.connection?.dispose();
      this.connection = null;
      this.panel = null;
      this.asking?.abort();
      this.reading?.abort();
      this.decorations.clear();
      this.state = { ...this.state, decorations: false };
    });
  }

  private set(patch: Partial<SinkPanelState>): void {
    this.state = { ...this.state, ...patch };
    this.push();
  }

  private push(): void {
    this.state = { ...this.state, available: this.prompts.available() };
    this.connection?.push({ type: "state", state: this.state });
  }

  private pushMap(): void {
    if (this.map) this.connection?.push({ type: "map", map: this.map });
  }

  private notice(message: string): void {
    this.connection?.push({ type: "notice", message });
  }

  /** The head set to show beside a prompt, also where it is off: that is what the view is for. */
  private async setFor({ uses }: Prompt, model: ModelInfo): Promise<ActiveSet | null> {
    const sets = uses.map((use) => this.services.sets.for(use));
    await Promise.all(sets.map((set) => set.ready()));
    return sets.find((set) => set.preview(model) !== null) ?? null;
  }

  private threshold(): Threshold {
    return this.active?.current?.threshold ?? DEFAULT_THRESHOLD;
  }

  private calibrationState(): SinkPanelState["calibration"] {
    const { calibration, active } = this;
    if (!calibration || !active) return null;
    const { method, beta, betas, heads } = calibration;
    const applied = active.unavailable(this.services.engine.status.model) === null;
    return { name: active.current?.name ?? "the head set", method, beta, ...(betas && { betas }), heads, applied };
  }

  private fresh(): SinkPanelState {
    return {
      phase: "empty",
      message: "Choose a prompt to see where the model's heads look.",
      label: "",
      source: null,
      available: { completion: false, chat: false, selection: false },
      mapId: null,
      model: null,
      calibration: null,
      threshold: DEFAULT_THRESHOLD,
      decorations: false,
    };
  }
}
