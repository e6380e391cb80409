import { createHash } from "node:crypto";
import { readFile, rm } from "node:fs/promises";
import * as path from "node:path";
import * as v from "valibot";
import * as vscode from "vscode";
import { finishSnapshot, foldProgress, startSnapshot } from "../../core/search/snapshot.js";
import { TASKS } from "../../core/tasks/index.js";
import {
  type CalibratePanelDown,
  CalibratePanelDownSchema,
  type CalibratePanelState,
  type CalibratePanelUp,
  CalibratePanelUpSchema,
  type HeadSetEntry,
  SearchPlaceSchema,
} from "../../protocol/calibrate-panel.js";
import { DEFAULT_BETA, DEFAULT_THRESHOLD, type HeadSet, type Method, MethodSchema } from "../../protocol/calibration.js";
import type { CalibrateParams, CalibrateResult, ModelInfo } from "../../protocol/engine.js";
import { ActError, toActError } from "../../protocol/errors.js";
import { writeFileAtomic } from "../../store/atomic.js";
import { checkHeadSet, HeadSetHistory, parseHeadSet, type StoredHeadSet } from "../../store/head-sets.js";
import { tryLock } from "../../store/lock.mjs";
import type { Services } from "../services.js";
import { type Connection, connectWebview } from "../webview.js";

const VIEW_TYPE = "act.calibrate";
const SEED = 42;
/** ZeroTuning's strength for the initial token, which has no use for ACT's beta. */
const ZERO_TUNING_GAIN = 2;

/** A search that is under way or was cut off: all that is needed to go on. */
const SearchSchema = v.object({
  place: SearchPlaceSchema,
  workspace: v.nullable(v.string()),
  budgetMinutes: v.number(),
  method: MethodSchema,
  journal: v.string(),
  model: v.string(),
  startedAt: v.number(),
});
type Search = v.InferOutput<typeof SearchSchema>;

/** "ACT: Calibrate Heads": starts, cancels and resumes searches, keeps the history of head sets, switches them on and off. */
export class Calibration implements vscode.Disposable {
  private panel: vscode.WebviewPanel | null = null;
  private connection: (Connection<CalibratePanelDown> & vscode.Disposable) | null = null;
  private readonly history: HeadSetHistory;
  private readonly home: string;
  private sets: StoredHeadSet[] = [];
  private phase: CalibratePanelState["phase"] = "idle";
  private message = "";
  private helps: boolean | null = null;
  private run: CalibratePanelState["run"] = null;
  private search: Search | null = null;
  private abort: AbortController | null = null;
  private readonly ready: Promise<void>;
  private readonly listening: vscode.Disposable;

  constructor(private readonly services: Services) {
    this.home = path.join(services.context.globalStorageUri.fsPath, "calibrate");
    this.history = new HeadSetHistory(path.join(services.context.globalStorageUri.fsPath, "head-sets"));
    this.ready = this.read();
    const push = () => this.push();
    this.listening = vscode.Disposable.from(
      vscode.commands.registerCommand("act.calibrate", () => this.reveal()),
      vscode.window.registerWebviewPanelSerializer(VIEW_TYPE, {
        deserializeWebviewPanel: async (panel) => this.adopt(panel),
      }),
      services.engine.onDidChange(push),
      services.headSet.onDidChange(push),
      vscode.workspace.onDidChangeWorkspaceFolders(push),
      vscode.workspace.onDidGrantWorkspaceTrust(push),
    );
  }

  /** What the panel shows, for tests. */
  get state(): CalibratePanelState {
    const model = this.services.engine.status.model;
    return {
      phase: this.phase,
      message: this.message,
      helps: this.helps,
      model: model && { name: this.services.engine.modelName ?? model.name, layers: model.layers, heads: model.heads },
      blocked: this.blocked(model),
      workspace: vscode.workspace.isTrusted ? (vscode.workspace.workspaceFolders?.[0]?.name ?? null) : null,
      tasks: TASKS.map(({ name }) => name),
      run: this.run,
      resumable:
        this.search && !this.busy
          ? { place: this.search.place, budgetMinutes: this.search.budgetMinutes, startedAt: this.search.startedAt }
          : null,
      history: this.sets.map((set) => this.entry(set, model)),
    };
  }

  async receive(message: CalibratePanelUp): Promise<void> {
    await this.ready;
    try {
      await this.answer(message);
    } catch (error) {
      this.notice(toActError(error).message);
    }
  }

  dispose(): void {
    this.abort?.abort();
    this.panel?.dispose();
    this.listening.dispose();
  }

  private get busy(): boolean {
    return this.phase === "starting" || this.phase === "running" || this.phase === "cancelling";
  }

  private async answer(message: CalibratePanelUp): Promise<void> {
    switch (message.type) {
      case "ready":
        return this.push();
      case "start":
        return await this.start(message);
      case "resume":
        if (this.search) await this.go(this.search, true);
        return;
      case "cancel":
        return this.cancel();
      case "switch":
        return await this.switch(message.id, message.on);
      case "export":
        return await this.export(message.id);
      case "remove":
        return await this.remove(message.id);
      case "import":
        return await this.import();
      case "sinks":
        await vscode.commands.executeCommand("act.showSinks");
    }
  }

  private async start(message: Extract<CalibratePanelUp, { type: "start" }>): Promise<void> {
    if (this.busy) return;
    const folder = vscode.workspace.workspaceFolders?.[0];
    if (message.place.kind === "workspace") {
      if (!folder) throw new ActError("usage", "No folder is open. Open one to calibrate on its files, or choose named tasks.");
      if (!vscode.workspace.isTrusted)
        throw new ActError("usage", "This workspace is not trusted, so its files are not read. Trust it, or choose named tasks.");
      if (folder.uri.scheme !== "file") throw new ActError("usage", "The open folder is not on the local disk. Choose named tasks.");
    }
    const startedAt = Date.now();
    const place: Search["place"] = message.place.kind === "workspace" ? { kind: "workspace", name: folder?.name ?? "" } : message.place;
    await this.go(
      {
        place,
        workspace: place.kind === "workspace" ? (folder?.uri.fsPath ?? null) : null,
        budgetMinutes: message.budgetMinutes,
        method: message.method,
        journal: "",
        model: "",
        startedAt,
      },
      false,
    );
  }

  private async go(wanted: Search, resume: boolean): Promise<void> {
    if (this.busy) return;
    this.phase = "starting";
    this.helps = null;
    this.say("Loading the model…");
    const abort = new AbortController();
    this.abort = abort;
    const lock = await tryLock(path.join(this.home, "search.lock"));
    if (!lock) {
      this.phase = "idle";
      return this.say("Another window is calibrating. Wait until it has finished, or cancel it there.");
    }
    try {
      const model = await this.services.engine.model(abort.signal);
      const search = resume ? wanted : { ...wanted, model: model.sha256, journal: this.journalOf(wanted, model) };
      if (resume && search.model !== model.sha256) {
        throw new ActError(
          "usage",
          `That search was for another model. Load it again to go on, or start a new search for ${this.services.engine.modelName ?? model.name}.`,
        );
      }
      this.search = search;
      await this.remember(search);
      this.run = resume && this.run ? this.run : startSnapshot(search.place, model.layers, model.heads, search.startedAt);
      this.phase = "running";
      this.say(
        `Searching on ${search.place.kind === "workspace" ? `the files of ${search.place.name}` : search.place.tasks.join(", ")}. Ghost texts keep coming; they go first.`,
      );
      const result = await this.services.engine.request("calibrate", this.params(search, resume), {
        signal: abort.signal,
        onProgress: (event) => {
          if (!this.run) return;
          this.run = foldProgress(this.run, event);
          this.push();
        },
      });
      await this.finish(result);
    } catch (error) {
      // Where nothing was measured there is nothing to go on from.
      if (!resume && this.phase === "running" && this.run?.forwardPasses === 0) await this.forget();
      this.fail(toActError(error), abort.signal.aborted);
    } finally {
      this.abort = null;
      await lock.release();
    }
  }

  private params(search: Search, resume: boolean): CalibrateParams {
    return {
      ...(search.place.kind === "workspace" ? { workspace: search.workspace ?? "" } : { tasks: search.place.tasks }),
      ...(process.env.ACT_DATA && { data: process.env.ACT_DATA }),
      method: search.method,
      beta: betaOf(search.method),
      threshold: DEFAULT_THRESHOLD,
      statistics: "running",
      seed: SEED,
      budgetMinutes: search.budgetMinutes,
      journal: search.journal,
      resume,
    };
  }

  /** The verdict is there: the set enters the history, and is switched on only where its confirmation says better. */
  private async finish({ headSet, verdict, helps }: CalibrateResult): Promise<void> {
    const place = this.search?.place;
    const measured = place?.kind === "workspace" ? place.name : (place?.tasks.join(", ") ?? "search");
    const name = `${measured}, ${new Date().toLocaleDateString("en", { day: "numeric", month: "long" })}`;
    const id = await this.history.save({ ...headSet, name, verdict });
    await this.forget();
    await this.list();
    this.run = this.run && finishSnapshot(this.run);
    this.phase = "done";
    this.helps = helps;
    if (helps) await this.switch(id, true);
    this.say(`${verdict}${helps ? " It is switched on." : ""}`);
    if (!this.panel?.visible) void this.announce(verdict);
  }

  /** Nobody looks at the panel: the verdict comes as a message. The search does not wait for the answer. */
  private async announce(verdict: string): Promise<void> {
    const open = await vscode.window.showInformationMessage(`ACT: ${verdict}`, "Show Evidence");
    if (open) this.reveal();
  }

  private fail(failure: ActError, cancelled: boolean): void {
    const stopped = cancelled || failure.code === "cancelled";
    this.phase = stopped ? "idle" : "failed";
    const kept = this.search ? " What was measured is kept; it can go on from there." : "";
    this.say(stopped ? `Cancelled.${kept}` : `${failure.message}${failure.code === "engine-gone" ? kept : ""}`);
    if (!stopped) this.services.log.error(`Calibrate: ${failure.message}`);
  }

  private cancel(): void {
    if (!this.abort) return;
    this.phase = "cancelling";
    this.say("Cancelling…");
    this.abort.abort();
  }

  private async switch(id: string, on: boolean): Promise<void> {
    const set = this.find(id);
    const { headSet, settings, engine } = this.services;
    if (on) {
      const refused = this.entry(set, engine.status.model).refused;
      if (refused) throw new ActError("head-set", refused);
      await headSet.choose(this.fileOf(id));
      await settings.set("calibration", true);
    } else await settings.set("calibration", false);
    this.push();
  }

  private async export(id: string): Promise<void> {
    const { set } = this.find(id);
    const folder = vscode.workspace.workspaceFolders?.[0]?.uri;
    const target = await vscode.window.showSaveDialog({
      ...(folder && { defaultUri: vscode.Uri.joinPath(folder, "head-set.json") }),
      filters: { "Head set": ["json"] },
      title: "Export head set",
    });
    if (!target) return this.notice("Nothing was written.");
    await vscode.workspace.fs.writeFile(target, new TextEncoder().encode(`${JSON.stringify(set, null, 2)}\n`));
    this.notice(`Written to ${vscode.workspace.asRelativePath(target)}.`);
  }

  private async import(): Promise<void> {
    const files = await vscode.window.showOpenDialog({ filters: { "Head set": ["json"] }, title: "Import head set", openLabel: "Import" });
    const file = files?.[0];
    if (!file) return;
    const name = path.posix.basename(file.path);
    const headSet = parseHeadSet(new TextDecoder().decode(await vscode.workspace.fs.readFile(file)), name);
    const id = await this.history.save({ name: name.replace(/\.json$/, ""), ...headSet });
    await this.list();
    this.push();
    const { refused } = this.entry(this.find(id), this.services.engine.status.model);
    this.notice(
      refused
        ? `${name} was imported, but it cannot be switched on: ${refused}`
        : `${name} was imported. It is off until you switch it on.`,
    );
  }

  private async remove(id: string): Promise<void> {
    const { set } = this.find(id);
    const remove = "Remove";
    const choice = await vscode.window.showWarningMessage(
      `Remove the head set “${set.name ?? id}”? Its evidence goes with it.`,
      { modal: true },
      remove,
    );
    if (choice !== remove) return;
    if (this.services.settings.get("headSet") === this.fileOf(id)) await this.services.headSet.choose("");
    await this.history.remove(id);
    await this.list();
    this.push();
  }

  private find(id: string): StoredHeadSet {
    const set = this.sets.find((one) => one.id === id);
    if (!set) throw new ActError("usage", "That head set is gone; another window may have removed it.");
    return set;
  }

  private fileOf(id: string): string {
    return path.join(this.history.folder, `${id}.json`);
  }

  private async list(): Promise<void> {
    const { sets, damaged } = await this.history.list();
    for (const name of damaged) this.services.log.warn(`The head set ${name} in ${this.history.folder} is damaged and left out.`);
    this.sets = sets;
  }

  private entry({ id, set, saved }: StoredHeadSet, model: ModelInfo | null): HeadSetEntry {
    const { headSet: active, settings } = this.services;
    const said = v.safeParse(v.string(), set.verdict);
    return {
      id,
      name: set.name ?? id,
      method: set.method,
      beta: set.beta,
      heads: set.heads,
      createdAt: saved.getTime(),
      model:
        model && set.model.sha256 === model.sha256 ? (this.services.engine.modelName ?? model.name) : (set.model.name ?? "another model"),
      evidence: set.evidence ?? null,
      verdict: said.success
        ? said.output
        : set.evidence
          ? "Imported with the evidence below."
          : "Imported without evidence: nothing is known about what it does here.",
      on: active.enabled && settings.get("headSet") === this.fileOf(id),
      refused: refusal(set, model),
    };
  }

  private blocked(model: ModelInfo | null): string | null {
    const { engine } = this.services;
    if (engine.modelPath === "") return "No model is chosen yet. Run “ACT: Choose Model”.";
    if (engine.status.phase === "failed") return engine.status.problem;
    return model && !model.act.supported ? model.act.reason : null;
  }

  /** One journal per model, place and method, so that the same search goes on and another one starts anew. */
  private journalOf({ place, workspace, method, startedAt }: Search, model: ModelInfo): string {
    const key = createHash("sha256")
      .update(JSON.stringify([model.sha256, place, workspace, method, startedAt]))
      .digest("hex");
    return path.join(this.home, `${key.slice(0, 16)}.journal.jsonl`);
  }

  private async read(): Promise<void> {
    await this.list();
    try {
      const kept = v.safeParse(SearchSchema, JSON.parse(await readFile(path.join(this.home, "search.json"), "utf8")));
      if (kept.success) this.search = kept.output;
    } catch {
      // no search was cut off
    }
    this.push();
  }

  private async remember(search: Search): Promise<void> {
    await writeFileAtomic(path.join(this.home, "search.json"), JSON.stringify(search));
  }

  private async forget(): Promise<void> {
    this.search = null;
    await rm(path.join(this.home, "search.json"), { force: true });
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
      fromView: CalibratePanelUpSchema,
      toView: CalibratePanelDownSchema,
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

  private say(message: string): void {
    this.message = message;
    this.push();
  }

  /** A whole snapshot, and only to a panel that can be seen: a hidden one asks again when it is shown. */
  private push(): void {
    if (this.panel?.visible) this.connection?.push({ type: "state", state: this.state });
  }

  private notice(message: string): void {
    this.connection?.push({ type: "notice", message });
  }
}

function betaOf(method: Method): number {
  return method === "act" ? DEFAULT_BETA : ZERO_TUNING_GAIN;
}

/** Why a set cannot be applied to the loaded model; null where it can, or where no model is loaded yet. */
function refusal(set: HeadSet, model: ModelInfo | null): string | null {
  if (set.heads.length === 0) return "This set has no heads: no set did better than none, so there is nothing to switch on.";
  try {
    if (model) checkHeadSet(set, model, set.name ?? "The head set");
    return null;
  } catch (error) {
    return toActError(error).message;
  }
}
