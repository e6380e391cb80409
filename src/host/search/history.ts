import * as path from "node:path";
import * as vscode from "vscode";
import { standingOf, USE_NAMES, USES } from "../../core/uses.js";
import type { HeadSetEntry } from "../../protocol/calibrate-panel.js";
import type { HeadSet } from "../../protocol/calibration.js";
import type { ModelInfo } from "../../protocol/engine.js";
import { ActError, toActError } from "../../protocol/errors.js";
import { checkHeadSet, parseHeadSet } from "../../store/head-sets/file.js";
import { HeadSetHistory, type StoredHeadSet } from "../../store/head-sets/history.js";
import type { Scope } from "../calibration/active-sets.js";
import { switchOn } from "../calibration/switch.js";
import type { Services } from "../services.js";

/** The head sets that were found or imported: kept, listed, switched on and off, exported, removed. */
export class KnownHeadSets {
  private readonly history: HeadSetHistory;
  private sets: StoredHeadSet[] = [];

  constructor(private readonly services: Services) {
    this.history = new HeadSetHistory(path.join(services.context.globalStorageUri.fsPath, "head-sets"));
  }

  async read(): Promise<void> {
    const { sets, damaged } = await this.history.list();
    for (const name of damaged) this.services.log.warn(`The head set ${name} in ${this.history.folder} is damaged and left out.`);
    this.sets = sets;
  }

  /** Newest first. */
  entries(model: ModelInfo | null): HeadSetEntry[] {
    return this.sets.map((set) => this.entry(set, model));
  }

  /** @returns its id */
  async add(set: HeadSet): Promise<string> {
    const id = await this.history.save(set);
    await this.read();
    return id;
  }

  /**
   * Switches a set on or off for a use; one that was not measured to help there, only where the user confirms it.
   * @returns whether it is on now
   * @throws ActError `head-set` where the set cannot be applied to the model that is loaded
   */
  async switch(id: string, on: boolean, scope: Scope, use = this.find(id).set.use): Promise<boolean> {
    const { set } = this.find(id);
    const { sets, engine } = this.services;
    const file = this.history.fileOf(id);
    if (!on) {
      if (sets.for(use).choice().file === file) await sets.setMode(use, "off");
      return false;
    }
    const refused = refusal(set, engine.status.model);
    if (refused) throw new ActError("head-set", refused);
    return await switchOn(sets, { use, file, set, scope });
  }

  /** Asks for a use other than the set's own and tries it there. */
  async tryElsewhere(id: string): Promise<void> {
    const { set } = this.find(id);
    const items = USES.filter((use) => use !== set.use).map((use) => ({ label: capital(USE_NAMES[use]), use }));
    const chosen = await vscode.window.showQuickPick(items, { title: `Try “${set.name ?? id}” for another use` });
    if (chosen) await this.switch(id, true, "user", chosen.use);
  }

  /** Asks for a file and writes the set there. @returns what became of it, in a sentence */
  async export(id: string): Promise<string> {
    const { set } = this.find(id);
    const folder = vscode.workspace.workspaceFolders?.[0]?.uri;
    const target = await vscode.window.showSaveDialog({
      ...(folder && { defaultUri: vscode.Uri.joinPath(folder, "head-set.json") }),
      filters: { "Head set": ["json"] },
      title: "Export head set",
    });
    if (!target) return "Nothing was written.";
    await vscode.workspace.fs.writeFile(target, new TextEncoder().encode(`${JSON.stringify(set, null, 2)}\n`));
    return `Written to ${vscode.workspace.asRelativePath(target)}.`;
  }

  /** Asks for a file and keeps the set in it. @returns what became of it, in a sentence; null where no file was chosen */
  async import(): Promise<string | null> {
    const files = await vscode.window.showOpenDialog({ filters: { "Head set": ["json"] }, title: "Import head set", openLabel: "Import" });
    const file = files?.[0];
    if (!file) return null;
    const name = path.posix.basename(file.path);
    const headSet = parseHeadSet(new TextDecoder().decode(await vscode.workspace.fs.readFile(file)), name);
    await this.add({ name: name.replace(/\.json$/, ""), ...headSet });
    const refused = refusal(headSet, this.services.engine.status.model);
    return refused
      ? `${name} was imported, but it cannot be switched on: ${refused}`
      : `${name} was imported. It is off until you switch it on.`;
  }

  /** Asks whether it is meant, and removes the set. */
  async remove(id: string): Promise<void> {
    const { set } = this.find(id);
    const remove = "Remove";
    const choice = await vscode.window.showWarningMessage(
      `Remove the head set “${set.name ?? id}”? Its evidence goes with it.`,
      { modal: true },
      remove,
    );
    if (choice !== remove) return;
    const { sets } = this.services;
    for (const use of USES) {
      const { file, scope } = sets.for(use).choice();
      if (file === this.history.fileOf(id)) await sets.choose(use, null, scope);
    }
    await this.history.remove(id);
    await this.read();
  }

  private find(id: string): StoredHeadSet {
    const set = this.sets.find((one) => one.id === id);
    if (!set) throw new ActError("usage", "That head set is gone; another window may have removed it.");
    return set;
  }

  private entry({ id, set, saved }: StoredHeadSet, model: ModelInfo | null): HeadSetEntry {
    const { sets, engine } = this.services;
    const applied = USES.flatMap((use) => {
      const active = sets.for(use);
      const { file, scope } = active.choice();
      return file === this.history.fileOf(id) && active.unavailable(model) === null ? [{ use, anyway: active.anyway, scope }] : [];
    });
    return {
      id,
      name: set.name ?? id,
      use: set.use,
      method: set.method,
      beta: set.beta,
      betas: set.betas ?? null,
      heads: set.heads,
      createdAt: saved.getTime(),
      model: model && set.model.sha256 === model.sha256 ? (engine.modelName ?? model.name) : (set.model.name ?? "another model"),
      evidence: set.evidence ?? null,
      verdict:
        set.verdict ??
        (set.evidence ? "Imported with the evidence below." : "Imported without evidence: nothing is known about what it does here."),
      standing: standingOf(set, set.use),
      applied,
      refused: refusal(set, model),
    };
  }
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
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
