import type * as vscode from "vscode";
import type { ActiveSets } from "./calibration/active-sets.js";
import type { ChatView } from "./chat/view.js";
import type { Pauses } from "./completions/pauses.js";
import type { InlineCompletions } from "./completions/provider.js";
import type { CompletionRecord } from "./completions/record.js";
import type { Engine } from "./engine/engine.js";
import type { Log } from "./log.js";
import type { Privacy } from "./privacy.js";
import type { Settings } from "./settings.js";

/** What activation builds once and every feature gets. */
export interface Services {
  /** From the first line of the bundle's own code to the end of activation. */
  activationMs: number;
  context: vscode.ExtensionContext;
  log: Log;
  settings: Settings;
  engine: Engine;
  sets: ActiveSets;
  pauses: Pauses;
  privacy: Privacy;
  record: CompletionRecord;
  completions: InlineCompletions;
  chat: ChatView;
}
