import * as vscode from "vscode";
import { USE_NAMES, USES } from "../core/uses.js";
import type { Use } from "../protocol/calibration.js";
import type { EngineStatus } from "./engine/engine.js";
import type { SearchPanel } from "./search/panel.js";
import type { Services } from "./services.js";

/** The status bar item: model, calibration, what the engine does. Click for the menu. */
export function createStatusBar(services: Services, search: Pick<SearchPanel, "searching" | "onDidProgress">): vscode.Disposable {
  const { engine, sets, pauses } = services;
  const item = vscode.window.createStatusBarItem("act.status", vscode.StatusBarAlignment.Right, 100);
  item.name = "ACT";
  item.command = "act.menu";
  const show = () => {
    const { status } = engine;
    const paused = pauses.reason(vscode.window.activeTextEditor?.document);
    const searching = searchText(search.searching);
    const calibrated = calibratedUses(services);
    item.text = [
      icon(status, paused !== null),
      searching ?? label(status, engine.modelName),
      searching ? "" : mark(calibrated),
      speed(status),
    ]
      .filter(Boolean)
      .join(" ");
    item.tooltip = tooltip(services, paused, searching);
    item.backgroundColor = status.phase === "failed" ? new vscode.ThemeColor("statusBarItem.errorBackground") : undefined;
    const uses = calibrated.map(({ use, anyway }) => `${USE_NAMES[use]}${anyway ? " on trial" : ""}`);
    item.accessibilityInformation = {
      label: `ACT: ${searching ?? describe(status)}, ${uses.length > 0 ? `calibration on for ${uses.join(", ")}` : "calibration off"}`,
    };
  };
  show();
  item.show();
  return vscode.Disposable.from(
    item,
    engine.onDidChange(show),
    sets.onDidChange(show),
    pauses.onDidChange(show),
    search.onDidProgress(show),
    vscode.window.onDidChangeActiveTextEditor(show),
  );
}

/** Uses that a head set is applied to now, with the model that is loaded. */
export function calibratedUses({ engine, sets }: Pick<Services, "engine" | "sets">): { use: Use; anyway: boolean }[] {
  return USES.map((use) => sets.for(use))
    .filter((active) => active.current !== null && active.unavailable(engine.status.model) === null)
    .map(({ use, anyway }) => ({ use, anyway }));
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

function searchText(searching: { percent: number | null } | null): string | null {
  if (!searching) return null;
  return searching.percent === null ? "Calibrating…" : `Calibrating ${searching.percent} %`;
}

/** A tick where a set is applied that helps; a flask where one is tried without that being known. */
function mark(calibrated: readonly { anyway: boolean }[]): string {
  if (calibrated.some(({ anyway }) => anyway)) return "$(beaker)";
  return calibrated.length > 0 ? "$(check)" : "";
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
  return status.busy && status.tokensPerSecond ? `${status.tokensPerSecond.toFixed(0)} tok/s` : "";
}

function tooltip({ engine, sets }: Services, paused: string | null, searching: string | null): vscode.MarkdownString {
  const { status } = engine;
  const text = new vscode.MarkdownString();
  const line = (name: string, value: string) => {
    text.appendMarkdown(`**${name}:** `);
    text.appendText(value);
    text.appendMarkdown("  \n");
  };
  line("Model", status.model ? `${engine.modelName} (${status.model.backend}, ${status.model.contextSize} tokens)` : describe(status));
  for (const use of USES) {
    const active = sets.for(use);
    const name = active.current?.name ?? "head set";
    const on = active.anyway ? `${name}, on trial: not measured to help` : `${name}${withWarning(active.warning(status.model))}`;
    line(`Calibration of ${USE_NAMES[use]}`, active.unavailable(status.model) ?? on);
  }
  line("Engine", status.problem ?? describe(status));
  if (searching) line("Search", searching);
  if (paused) line("Suggestions", paused);
  return text;
}

function withWarning(warning: string | null): string {
  return warning ? `. ${warning}` : "";
}
