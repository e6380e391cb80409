import * as vscode from "vscode";
import { ActiveSets } from "./calibration/active-sets.js";
import { migrateSettings } from "./calibration/migrate.js";
import { Changes } from "./chat/changes.js";
import { registerEditorActions } from "./chat/editor-actions.js";
import { LocalModelProvider } from "./chat/language-model.js";
import { registerParticipant } from "./chat/participant.js";
import { ChatView } from "./chat/view.js";
import { RepositoryContext } from "./completions/context.js";
import { Pauses, registerPauseCommands } from "./completions/pauses.js";
import { InlineCompletions } from "./completions/provider.js";
import { CompletionRecord } from "./completions/record.js";
import { Engine } from "./engine/engine.js";
import { Models } from "./engine/models.js";
import { registerLabelling } from "./label/command.js";
import { createLog } from "./log.js";
import { registerMenu } from "./menu.js";
import { Privacy } from "./privacy.js";
import { SearchPanel } from "./search/panel.js";
import type { Services } from "./services.js";
import { Settings } from "./settings.js";
import { SinkPanel } from "./sinks/panel.js";
import { createStatusBar } from "./status.js";

const loading = performance.now();

let running: Services | null = null;

/** The table of contents: what the extension consists of. Nothing here waits; the engine starts with the first request. */
export function activate(context: vscode.ExtensionContext): Services {
  const keep = <T extends vscode.Disposable>(one: T): T => {
    context.subscriptions.push(one);
    return one;
  };
  const log = createLog(context);
  const settings = new Settings(log);
  const engine = keep(new Engine(context, settings, log));
  const sets = keep(new ActiveSets(settings, context.workspaceState, log));
  const pauses = keep(new Pauses(settings));
  const privacy = new Privacy(pauses);
  const record = keep(new CompletionRecord(() => pauses.reason(vscode.window.activeTextEditor?.document) ?? engine.status.problem));
  const repository = keep(new RepositoryContext(privacy, log));
  const completions = new InlineCompletions(engine, settings, sets.for("completions"), pauses, repository, record);
  const changes = keep(new Changes());
  const chat = keep(new ChatView({ context, log, settings, engine, sets, privacy }, changes));
  const services: Services = { activationMs: 0, context, log, settings, engine, sets, pauses, privacy, record, completions, chat };

  keep(vscode.languages.registerInlineCompletionItemProvider({ pattern: "**" }, completions));
  keep(new Models(context, settings, engine, log));
  keep(new LocalModelProvider(services));
  keep(registerParticipant(services));
  keep(registerEditorActions(services));
  keep(registerPauseCommands(settings));
  const search = keep(new SearchPanel(services));
  keep(registerMenu(services));
  keep(registerLabelling(services));
  keep(new SinkPanel(services));
  keep(createStatusBar(services, search));
  void migrateSettings(log);
  services.activationMs = performance.now() - loading;
  log.debug(`Activated in ${services.activationMs.toFixed(1)} ms`);
  running = services;
  return services;
}

/** What was said last is on disk before the window closes. */
export async function deactivate(): Promise<void> {
  await running?.chat.flush();
}
