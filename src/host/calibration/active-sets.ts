import * as vscode from "vscode";
import { objection, USE_NAMES, USES } from "../../core/uses.js";
import { type Calibration, calibrationOfSet, type HeadSet, type Use } from "../../protocol/calibration.js";
import type { ModelInfo } from "../../protocol/engine.js";
import { toActError } from "../../protocol/errors.js";
import { checkHeadSet, readHeadSet } from "../../store/head-sets/file.js";
import type { Log } from "../log.js";
import type { Settings, SettingValue } from "../settings.js";

/** `on`: applied where its evidence says that it helps this use. `anyway`: applied in spite of that, as the user has confirmed. */
export type Mode = SettingValue<"completions.calibration">;
/** A choice for one workspace goes before the user's own. */
export type Scope = "workspace" | "user";

interface Choice {
  file: string;
  mode: Mode;
}

/** The head sets in force: one for each use, chosen by settings, or for this workspace alone by the calibrate panel. */
export class ActiveSets implements vscode.Disposable {
  private readonly changed = new vscode.EventEmitter<void>();
  readonly onDidChange = this.changed.event;
  private readonly sets: Record<Use, ActiveSet>;
  private readonly listening: vscode.Disposable;

  constructor(
    private readonly settings: Settings,
    private readonly workspaceState: vscode.Memento,
    log: Log,
  ) {
    const make = (use: Use) => new ActiveSet(use, () => this.choice(use), this.onDidChange, log);
    this.sets = { completions: make("completions"), chat: make("chat"), task: make("task") };
    this.listening = vscode.Disposable.from(
      ...USES.map((use) => settings.onDidChange([`${use}.headSet`, `${use}.calibration`], () => this.again(use))),
    );
    for (const use of USES) this.again(use);
  }

  for(use: Use): ActiveSet {
    return this.sets[use];
  }

  /** Chooses what is in force for a use. @param choice null: what the user chose for all workspaces counts again */
  async choose(use: Use, choice: Choice | null, scope: Scope): Promise<void> {
    if (scope === "workspace") await this.workspaceState.update(keyOf(use), choice ?? undefined);
    else {
      await this.settings.set(`${use}.headSet`, choice?.file ?? "");
      await this.settings.set(`${use}.calibration`, choice?.mode ?? "on");
    }
    this.again(use);
    await this.sets[use].ready();
  }

  /** Switches the set in force off, or on as far as its evidence goes; the set stays chosen. */
  async setMode(use: Use, mode: Mode): Promise<void> {
    const { file, scope } = this.choice(use);
    await this.choose(use, { file, mode }, scope);
  }

  dispose(): void {
    this.listening.dispose();
    this.changed.dispose();
  }

  private choice(use: Use): Choice & { scope: Scope } {
    const here = this.workspaceState.get<Choice>(keyOf(use));
    if (here) return { ...here, scope: "workspace" };
    return { file: this.settings.get(`${use}.headSet`), mode: this.settings.get(`${use}.calibration`), scope: "user" };
  }

  private again(use: Use): void {
    void this.sets[use].read().then(() => this.changed.fire());
  }
}

function keyOf(use: Use): string {
  return `calibration.${use}`;
}

/** The head set of one use. */
export class ActiveSet {
  private headSet: HeadSet | null = null;
  private problem: string | null = null;
  private known: string | null = null;
  private reading: Promise<void> = Promise.resolve();

  constructor(
    readonly use: Use,
    readonly choice: () => Choice & { scope: Scope },
    readonly onDidChange: vscode.Event<void>,
    private readonly log: Log,
  ) {}

  /** The chosen set, whether or not it is applied; null where none is chosen or its file cannot be read. */
  get current(): HeadSet | null {
    return this.headSet;
  }

  /** Waits until the chosen file has been read. */
  async ready(): Promise<void> {
    await this.reading;
  }

  /** Why no set is applied with this model, in a sentence; null where one is. */
  unavailable(model: ModelInfo | null): string | null {
    return this.misfit(model) ?? this.heldBack();
  }

  /** What a request of this use applies; null where there is nothing to apply. */
  calibration(model: ModelInfo | null): Calibration | null {
    return this.headSet && this.unavailable(model) === null ? calibrationOfSet(this.headSet) : null;
  }

  /** What the chosen set would do, also where it is off: for looking at it. */
  preview(model: ModelInfo | null): Calibration | null {
    return this.headSet && this.misfit(model) === null ? calibrationOfSet(this.headSet) : null;
  }

  /** Applied in spite of its evidence. */
  get anyway(): boolean {
    return this.choice().mode === "anyway" && this.headSet !== null && objection(this.headSet, this.use) !== null;
  }

  /** Where the set was made for another file of the same shape, a warning in a sentence. */
  warning(model: ModelInfo | null): string | null {
    return this.headSet && model && this.misfit(model) === null ? checkHeadSet(this.headSet, model) : null;
  }

  /** Reads the chosen file, where it is not the one that is known. */
  read(): Promise<void> {
    this.reading = this.reading.then(() => this.readNow());
    return this.reading;
  }

  /** Why the set cannot be applied to this model at all. */
  private misfit(model: ModelInfo | null): string | null {
    if (this.problem) return this.problem;
    if (!this.headSet) return `There is no head set for ${USE_NAMES[this.use]} yet. Run “ACT: Calibrate Heads”.`;
    if (!model) return null;
    if (!model.act.supported) return model.act.reason;
    try {
      checkHeadSet(this.headSet, model);
      return null;
    } catch (error) {
      return toActError(error).message;
    }
  }

  /** Why a set that fits is not applied. */
  private heldBack(): string | null {
    const { mode } = this.choice();
    if (mode === "off") return `Calibration is switched off for ${USE_NAMES[this.use]}.`;
    return mode === "anyway" || !this.headSet ? null : objection(this.headSet, this.use);
  }

  private async readNow(): Promise<void> {
    const { file } = this.choice();
    if (file === this.known && this.problem === null) return;
    this.known = file;
    this.headSet = null;
    this.problem = null;
    if (file === "") return;
    try {
      this.headSet = await readHeadSet(file);
    } catch (error) {
      this.problem = toActError(error).message;
      this.log.warn(this.problem);
    }
  }
}
