import * as vscode from "vscode";
import type { Pauses } from "./completions/pauses.js";
import type { Engine, EngineStatus } from "./engine/engine.js";
import type { ActiveHeadSet } from "./search/head-set.js";

/** The status bar item: model, calibration, what the engine does. Click for the menu. */
export function createStatusBar(engine: Engine, headSet: ActiveHeadSet, pauses: Pauses): vscode.Disposable {
  const item = vscode.window.createStatusBarItem("act.status", vscode.StatusBarAlignment.Right, 100);
  item.name = "ACT";
  item.command = "act.menu";
  const show = () => {
    const status = engine.status;
    const act = actState(headSet, status);
    const paused = pauses.reason(vscode.window.activeTextEditor?.document);
    item.text = `${icon(status, paused !== null)} ${label(status, engine.modelName)}${act === "on" ? " $(check)ACT" : ""}${speed(status)}`;
    item.tooltip = tooltip(engine, act, headSet, paused);
    item.backgroundColor = status.phase === "failed" ? new vscode.ThemeColor("statusBarItem.errorBackground") : undefined;
    item.accessibilityInformation = { label: `ACT: ${describe(status)}, calibration ${act}` };
  };
  show();
  item.show();
  return vscode.Disposable.from(
    item,
    engine.onDidChange(show),
    headSet.onDidChange(show),
    pauses.onDidChange(show),
    vscode.window.onDidChangeActiveTextEditor(show),
  );
}

export function actState(headSet: ActiveHeadSet, status: EngineStatus): "on" | "off" | "no head set" {
  if (headSet.unavailable(status.model) !== null) return "no head set";
  return headSet.enabled ? "on" : "off";
}

/** What the engine is doing, in a few words. */
export function describe(status: EngineStatus): string {
  switch (status.phase) {
    case "no-model":
      return "no model chosen";
    case "idle":
      return "ready to start";
    case "starting":
      return "starting";
    case "loading":
      return `loading ${Math.round(status.loaded * 100)} %`;
    case "failed":
      return "stopped by a problem";
    case "ready":
      return status.busy ?? "ready";
  }
}

function icon(status: EngineStatus, paused: boolean): string {
  if (status.phase === "failed") return "$(error)";
  if (status.phase === "no-model") return "$(package)";
  if (status.phase === "starting" || status.phase === "loading") return "$(loading~spin)";
  if (status.busy) return "$(sync~spin)";
  return paused ? "$(debug-pause)" : "$(sparkle)";
}

function label(status: EngineStatus, name: string | null): string {
  if (status.phase === "no-model") return "ACT: choose a model";
  if (status.phase === "failed") return "ACT";
  if (status.phase === "loading") return `ACT ${Math.round(status.loaded * 100)} %`;
  return status.model ? (name ?? "ACT") : "ACT";
}

function speed(status: EngineStatus): string {
  return status.busy && status.tokensPerSecond ? ` ${status.tokensPerSecond.toFixed(0)} tok/s` : "";
}

function tooltip(engine: Engine, act: string, headSet: ActiveHeadSet, paused: string | null): vscode.MarkdownString {
  const { status } = engine;
  const text = new vscode.MarkdownString();
  const line = (name: string, value: string) => {
    text.appendMarkdown(`**${name}:** `);
    text.appendText(value);
    text.appendMarkdown("  \n");
  };
  line("Model", status.model ? `${engine.modelName} (${status.model.backend}, ${status.model.contextSize} tokens)` : describe(status));
  line("Calibration", headSet.unavailable(status.model) ?? act);
  line("Engine", status.problem ?? describe(status));
  if (paused) line("Suggestions", paused);
  return text;
}
