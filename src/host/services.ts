import type * as vscode from "vscode";
import type { ChatView } from "./chat.js";
import type { InlineCompletions } from "./complete.js";
import type { Engine } from "./engine.js";
import type { ActiveHeadSet } from "./head-set.js";
import type { Log } from "./log.js";
import type { Pauses } from "./pauses.js";
import type { Privacy } from "./privacy.js";
import type { CompletionRecord } from "./record.js";
import type { Settings } from "./settings.js";

/** What activation builds once and every deed gets. */
export interface Services {
  /** From the first line of the bundle's own code to the end of activation. */
  activationMs: number;
  context: vscode.ExtensionContext;
  log: Log;
  settings: Settings;
  engine: Engine;
  headSet: ActiveHeadSet;
  pauses: Pauses;
  privacy: Privacy;
  record: CompletionRecord;
  completions: InlineCompletions;
  chat: ChatView;
}
