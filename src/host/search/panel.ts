import * as vscode from "vscode";
import { TASKS } from "../../core/tasks/index.js";
import { standingOf, USE_NAMES, USES } from "../../core/uses.js";
import { nameOf, plain } from "../../core/verdict.js";
import {
  type CalibratePanelState,
  type CalibrateToHost,
  CalibrateToHostSchema,
  type CalibrateToView,
  CalibrateToViewSchema,
  type SearchPlace,
} from "../../protocol/calibrate-panel.js";
import type { Use } from "../../protocol/calibration.js";
import type { CalibrateResult, ModelInfo } from "../../protocol/engine.js";
import { toActError } from "../../protocol/errors.js";
import type { Scope } from "../calibration/active-sets.js";
import { registerCommand, runCommand } from "../commands.js";
import type { Services } from "../services.js";
import { type Connection, connectWebview } from "../webview.js";
import { KnownHeadSets } from "./history.js";
import { SearchRun } from "./run.js";

const VIEW_TYPE = "act.calibrate";

/** "ACT: Calibrate Heads": the panel of the search and of the head sets that searches have found. */
export class SearchPanel implements vscode.Disposable {
  private panel: vscode.WebviewPanel | null = null;
  private connection: (Connection<CalibrateToView> & vscode.Disposable) | null = null;
  private readonly known: KnownHeadSets;
  private readonly search: SearchRun;
  private readonly ready: Promise<void>;
  private readonly listening: vscode.Disposable;

  constructor(private readonly services: Services) {
    this.known = new KnownHeadSets(services);
    this.search = new SearchRun(services, (result, place) => this.keep(result, place));
    this.ready = Promise.all([this.known.read(), this.search.read()]).then(() => this.push());
    const push = () => this.push();
    this.listening = vscode.Disposable.from(
      this.search,
      this.search.onDidChange(push),
      registerCommand("act.calibrate", () => this.reveal()),
      vscode.window.registerWebviewPanelSerializer(VIEW_TYPE, {
        deserializeWebviewPanel: async (panel) => this.adopt(panel),
      }),
      services.engine.onDidChange(push),
      services.sets.onDidChange(push),
      vscode.workspace.onDidChangeWorkspaceFolders(push),
      vscode.workspace.onDidGrantWorkspaceTrust(push),
    );
  }

  /** How far the search is, for the status bar; null where none runs. */
  get searching(): { percent: number | null } | null {
    return this.search.busy ? { percent: this.search.percent } : null;
  }

  get onDidProgress(): vscode.Event<void> {
    return this.search.onDidChange;
  }

  /** What the panel shows, for tests. */
  get state(): CalibratePanelState {
    const model = this.services.engine.status.model;
    const { phase, message, helps, snapshot: run, percent, resumable } = this.search;
    return {
      phase,
      message,
      helps,
      model: model && { name: this.services.engine.modelName ?? model.name, layers: model.layers, heads: model.heads },
      blocked: this.blocked(model),
      workspace: vscode.workspace.isTrusted ? (vscode.workspace.workspaceFolders?.[0]?.name ?? null) : null,
      tasks: TASKS.map(({ name }) => name),
      run,
      percent,
      resumable,
      history: this.known.entries(model),
      uses: USES.map((use) => this.inForce(use, model)),
    };
  }

  async receive(message: CalibrateToHost): Promise<void> {
    await this.ready;
    try {
      const said = await this.answer(message);
      if (said) this.connection?.push({ type: "notice", message: said });
    } catch (error) {
      this.connection?.push({ type: "notice", message: toActError(error).message });
    }
    this.push();
  }

  dispose(): void {
    this.panel?.dispose();
    this.listening.dispose();
  }

  /** @returns a sentence for the panel, where there is something to say */
  private async answer(message: CalibrateToHost): Promise<string | null | undefined> {
    switch (message.type) {
      case "ready":
        return null;
      case "start":
        await this.search.start(message);
        return null;
      case "resume":
        await this.search.resume();
        return null;
      case "cancel":
        this.search.cancel();
        return null;
      case "switch":
        await this.known.switch(message.id, message.on, message.scope);
        return null;
      case "try":
        await this.known.tryElsewhere(message.id);
        return null;
      case "export":
        return await this.known.export(message.id);
      case "remove":
        await this.known.remove(message.id);
        return null;
      case "import":
        return await this.known.import();
      case "sinks":
        await runCommand("act.showSinks");
        return null;
    }
  }

  /**
   * The set of a search that is over enters the history, unless it is empty, and is switched on only where its confirmation says better.
   * @returns the verdict as one says it to a colleague
   */
  private async keep({ headSet, verdict }: CalibrateResult, place: SearchPlace): Promise<string> {
    const { use, heads, evidence = null } = headSet;
    const standing = standingOf(headSet, use);
    let said = plain({ use, heads, evidence, standing });
    if (heads.length > 0) {
      const measured = place.kind === "workspace" ? place.name : place.tasks.join(", ");
      const id = await this.known.add({ ...headSet, name: nameOf(measured, headSet.evidence), verdict });
      // What was measured on one workspace's files says nothing about another's.
      const on = standing === "helps" && (await this.known.switch(id, true, scopeOf(place)));
      if (on) said += ` It is switched on for ${USE_NAMES[use]}.`;
    }
    if (!this.panel?.visible) void this.announce(said);
    return said;
  }

  /** Nobody looks at the panel: the verdict comes as a message. The search does not wait for the answer. */
  private async announce(said: string): Promise<void> {
    const open = await vscode.window.showInformationMessage(`ACT: ${said}`, "Show Evidence");
    if (open) this.reveal();
  }

  private inForce(use: Use, model: ModelInfo | null): CalibratePanelState["uses"][number] {
    const active = this.services.sets.for(use);
    const says = active.unavailable(model) ?? active.warning(model) ?? "";
    const set = active.unavailable(model) === null ? (active.current?.name ?? "a head set") : null;
    return { use, set, anyway: active.anyway, says };
  }

  private blocked(model: ModelInfo | null): string | null {
    const { engine } = this.services;
    if (engine.modelPath === "") return "No model is chosen yet. Run “ACT: Choose Model”.";
    if (engine.status.phase === "failed") return engine.status.problem;
    return model && !model.act.supported ? model.act.reason : null;
  }

  private reveal(): void {
    if (this.panel) this.panel.reveal();
    else this.adopt(vscode.window.createWebviewPanel(VIEW_TYPE, "Calibrate Heads", vscode.ViewColumn.Active));
  }

  private adopt(panel: vscode.WebviewPanel): void {
    this.panel = panel;
    this.connection = connectWebview(panel.webview, {
      extension: this.services.context.extensionUri,
      view: "calibrate",
      title: "Calibrate Heads",
      fromView: CalibrateToHostSchema,
      toView: CalibrateToViewSchema,
      log: this.services.log,
      onMessage: (message) => this.receive(message),
    });
    panel.onDidChangeViewState(() => this.push());
    panel.onDidDispose(() => {
      this.connection?.dispose();
      this.connection = null;
      this.panel = null;
    });
  }

  /** A whole snapshot, and only to a panel that can be seen: a hidden one asks again when it is shown. */
  private push(): void {
    if (this.panel?.visible) this.connection?.push({ type: "state", state: this.state });
  }
}

function scopeOf(place: SearchPlace): Scope {
  return place.kind === "workspace" ? "workspace" : "user";
}
