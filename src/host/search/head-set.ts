import { readFile } from "node:fs/promises";
import * as path from "node:path";
import * as v from "valibot";
import * as vscode from "vscode";
import { type Calibration, calibrationOfSet, type HeadSet, HeadSetSchema } from "../../protocol/calibration.js";
import type { ModelInfo } from "../../protocol/engine.js";
import type { Log } from "../log.js";
import type { Settings } from "../settings.js";

/** The head set in force: the file that the setting act.headSet names, switched on and off by act.calibration. */
export class ActiveHeadSet implements vscode.Disposable {
  private readonly changed = new vscode.EventEmitter<void>();
  readonly onDidChange = this.changed.event;
  private headSet: HeadSet | null = null;
  private problem: string | null = null;
  private reading: Promise<void>;
  private readonly listening: vscode.Disposable[];

  constructor(
    private readonly settings: Settings,
    private readonly log: Log,
  ) {
    this.reading = this.read();
    const again = () => {
      this.reading = this.read();
    };
    this.listening = [settings.onDidChange(["headSet"], again), settings.onDidChange(["calibration"], () => this.changed.fire())];
  }

  get current(): HeadSet | null {
    return this.headSet;
  }

  /** Switched on by the user; it has an effect only where a head set fits the model. */
  get enabled(): boolean {
    return this.settings.get("calibration");
  }

  /** Waits until the file of the setting has been read. */
  async ready(): Promise<void> {
    await this.reading;
  }

  /** Why calibration cannot be applied with this model, in a sentence; null where it can. */
  unavailable(model: ModelInfo | null): string | null {
    if (this.problem) return this.problem;
    if (!this.headSet) return 'There is no head set yet. Run "ACT: Calibrate Heads", or name a head-set file in the setting act.headSet.';
    if (!model) return null;
    if (!model.act.supported) return model.act.reason;
    const { layers, heads } = this.headSet.model;
    if (layers === model.layers && heads === model.heads) return null;
    return `The head set is for a model of ${layers} layers and ${heads} heads; ${model.name} has ${model.layers} and ${model.heads}. Calibrate this model, or choose the other one.`;
  }

  /** What a request applies when calibration is wanted; null where there is nothing to apply. */
  calibration(model: ModelInfo | null): Calibration | null {
    const set = this.headSet;
    if (!set || this.unavailable(model) !== null) return null;
    return calibrationOfSet(set);
  }

  /** What completions apply: the head set, where calibration is switched on and fits. */
  forCompletions(model: ModelInfo | null): Calibration | null {
    return this.enabled ? this.calibration(model) : null;
  }

  /** Puts another head-set file in force (empty: none). */
  async choose(file: string): Promise<void> {
    await this.settings.set("headSet", file);
    await this.reading;
  }

  dispose(): void {
    for (const one of this.listening) one.dispose();
    this.changed.dispose();
  }

  private async read(): Promise<void> {
    const file = this.settings.get("headSet");
    this.headSet = null;
    this.problem = null;
    if (file !== "") {
      try {
        this.headSet = parseHeadSet(await readFile(file, "utf8"), file);
      } catch (error) {
        this.problem = error instanceof Error ? error.message : String(error);
        this.log.warn(this.problem);
      }
    }
    this.changed.fire();
  }
}

function parseHeadSet(text: string, file: string): HeadSet {
  let raw: unknown;
  try {
    raw = JSON.parse(text);
  } catch {
    throw new Error(`${path.basename(file)} is not a head-set file: it is not JSON.`);
  }
  const parsed = v.safeParse(HeadSetSchema, raw);
  if (!parsed.success) throw new Error(`${path.basename(file)} is not a head-set file: ${v.summarize(parsed.issues)}`);
  return parsed.output;
}
