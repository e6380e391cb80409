import * as vscode from "vscode";
import { objection, standingOf, USE_NAMES } from "../../core/uses.js";
import type { HeadSet, Use } from "../../protocol/calibration.js";
import type { ActiveSets, Scope } from "./active-sets.js";

/**
 * Puts a head set in force for a use. One whose evidence does not say that it helps there is applied only after the user has read what was
 * measured and confirmed it.
 * @returns whether it is applied now
 */
export async function switchOn(
  sets: ActiveSets,
  { use, file, set, scope }: { use: Use; file: string; set: HeadSet; scope: Scope },
): Promise<boolean> {
  const problem = objection(set, use);
  if (problem) {
    const anyway = "Try It Anyway";
    const harm = standingOf(set, use) === "harms";
    const answer = await vscode.window.showWarningMessage(
      `Apply “${set.name ?? "this head set"}” to ${USE_NAMES[use]} anyway?`,
      {
        modal: true,
        detail: `${problem}${set.verdict ? `\n\nIts verdict: ${set.verdict}` : ""}\n\n${harm ? "Expect worse results." : "It may help or harm."} The status bar shows it while it is on.`,
      },
      anyway,
    );
    if (answer !== anyway) return false;
  }
  await sets.choose(use, { file, mode: problem ? "anyway" : "on" }, scope);
  return true;
}
