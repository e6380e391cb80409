import * as v from "valibot";
import * as vscode from "vscode";
import { BackendChoiceSchema, boundsOf, ThreadsSchema, whole } from "../protocol/requests/fields.js";
import type { Log } from "./log.js";

const ModeSchema = v.picklist(["off", "on", "anyway"]);

/** One schema per setting; names, ranges and defaults are those of package.json, which holds the defaults (a test compares them). */
export const settingSchemas = {
  "model.path": v.string(),
  "model.contextSize": whole(512, 131_072),
  "model.backend": BackendChoiceSchema,
  "model.threads": whole(0, boundsOf(ThreadsSchema).most ?? 0),
  "model.downloadSource": v.pipe(v.string(), v.regex(/^https?:\/\/[^\s]+$/, "an http or https address is needed")),
  "completions.headSet": v.string(),
  "completions.calibration": ModeSchema,
  "chat.headSet": v.string(),
  "chat.calibration": ModeSchema,
  "task.headSet": v.string(),
  "task.calibration": ModeSchema,
  /** One set and one switch that once held for everything: moved to the settings above when the extension starts. */
  headSet: v.string(),
  calibration: v.boolean(),
  "completions.enabled": v.boolean(),
  "completions.pausedLanguages": v.array(v.string()),
  "completions.pausedFiles": v.array(v.string()),
  "completions.pauseOnBattery": v.boolean(),
  "completions.maxTokens": whole(8, 512),
  "completions.contextTokens": whole(128, 16_384),
  "chat.maxTokens": whole(16, 32_768),
  "chat.temperature": v.pipe(v.number(), v.minValue(0), v.maxValue(2)),
} as const;

export type SettingName = keyof typeof settingSchemas;
export type SettingValue<N extends SettingName> = v.InferOutput<(typeof settingSchemas)[N]>;

/** Settings as the user or the workspace wrote them, checked. A value that does not fit is reported once, and its default used. */
export class Settings {
  private readonly reported = new Set<string>();

  constructor(private readonly log: Log) {}

  get<N extends SettingName>(name: N): SettingValue<N> {
    const configuration = vscode.workspace.getConfiguration("act");
    const raw = configuration.get<unknown>(name);
    const checked = v.safeParse(settingSchemas[name], raw);
    if (checked.success) return checked.output as SettingValue<N>;
    const said = `The setting act.${name} is ${JSON.stringify(raw)}, which does not fit; its default is used. ${v.summarize(checked.issues)}`;
    if (!this.reported.has(said)) this.log.warn(said);
    this.reported.add(said);
    return v.parse(settingSchemas[name], configuration.inspect(name)?.defaultValue) as SettingValue<N>;
  }

  async set<N extends SettingName>(name: N, value: SettingValue<N>, target = vscode.ConfigurationTarget.Global): Promise<void> {
    await vscode.workspace.getConfiguration("act").update(name, value, target);
  }

  onDidChange(names: SettingName[], listener: () => void): vscode.Disposable {
    return vscode.workspace.onDidChangeConfiguration((event) => {
      if (names.some((name) => event.affectsConfiguration(`act.${name}`))) listener();
    });
  }
}
