import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** What a workbench under test always has: quiet, no network, no built-in chat pane over our own. */
export const settings: Record<string, unknown> = {
  "security.workspace.trust.enabled": false,
  "workbench.startupEditor": "none",
  "workbench.enableExperiments": false,
  "workbench.tips.enabled": false,
  "extensions.autoCheckUpdates": false,
  "extensions.ignoreRecommendations": true,
  "telemetry.telemetryLevel": "off",
  "update.mode": "none",
  "git.openRepositoryInParentFolders": "never",
  "chat.disableAIFeatures": true,
  "workbench.secondarySideBar.defaultVisibility": "hidden",
};

/** Writes user settings. The served workbench is a remote one: settings of machine scope are read from its machine file, the others from the user's. */
export function writeSettings(userData: string, values: Record<string, unknown>): void {
  for (const place of ["User", "Machine"]) {
    mkdirSync(join(userData, place), { recursive: true });
    writeFileSync(join(userData, place, "settings.json"), JSON.stringify(values, null, 2));
  }
}
