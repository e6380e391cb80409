import { totalmem } from "node:os";
import * as path from "node:path";
import * as vscode from "vscode";
import { toActError } from "../../protocol/errors.js";
import { discardDownload } from "../../store/download.js";
import { availableMemory } from "../../store/free-memory.js";
import { downloadModel, isDownloaded, KNOWN_MODELS, type KnownModel, knownModel, modelPath } from "../../store/models.js";
import { releaseFromQuarantine } from "../../store/quarantine.js";
import { registerCommand } from "../commands.js";
import type { Log } from "../log.js";
import type { Settings } from "../settings.js";
import type { Engine } from "./engine.js";

const UNFINISHED = "unfinishedDownload";

/** Chooses the model: from the list (downloaded when the user asks for it) or a GGUF file of the user's own. */
export class Models implements vscode.Disposable {
  /** The download under way: one at a time, so that the user sees what the network is used for. */
  private running: { model: KnownModel; abort: AbortController; discard: boolean } | null = null;
  private fraction: number | null = null;
  private readonly registrations: vscode.Disposable;

  constructor(
    private readonly context: vscode.ExtensionContext,
    private readonly settings: Settings,
    private readonly engine: Engine,
    private readonly log: Log,
  ) {
    this.registrations = vscode.Disposable.from(
      registerCommand("act.chooseModel", () => this.choose()),
      registerCommand("act.openModelFile", () => this.openFile()),
      registerCommand("act.pauseDownload", () => this.end(false)),
      registerCommand("act.cancelDownload", () => this.end(true)),
      registerCommand("act.resumeDownload", () => this.resume()),
      settings.onDidChange(["model.path"], () => this.tellContext()),
    );
    this.tellContext();
  }

  dispose(): void {
    this.running?.abort.abort();
    this.registrations.dispose();
  }

  async choose(): Promise<void> {
    const chosen = await vscode.window.showQuickPick(this.items(), {
      title: `Choose a model (this machine has ${gib(totalmem())} of memory, ${gib(availableMemory())} free)`,
      placeHolder: "Downloads start only when you choose one; everything else stays on this machine",
      matchOnDescription: true,
      matchOnDetail: true,
    });
    await chosen?.run?.();
  }

  /** Downloads a known model with its progress shown, and uses it. Resolves when it is there, paused or failed. */
  async download(model: KnownModel): Promise<void> {
    if (this.running)
      return void vscode.window.showInformationMessage(`${this.running.model.title} is being downloaded: pause or cancel that first.`);
    const running = { model, abort: new AbortController(), discard: false };
    this.running = running;
    await this.context.globalState.update(UNFINISHED, model.id);
    this.tellContext();
    try {
      const file = await vscode.window.withProgress(
        { location: vscode.ProgressLocation.Notification, title: `Downloading ${model.title}`, cancellable: true },
        async (progress, token) => {
          token.onCancellationRequested(() => this.end(false));
          let shown = 0;
          return await downloadModel(model, {
            signal: running.abort.signal,
            endpoint: this.settings.get("model.downloadSource"),
            onProgress: ({ receivedBytes, totalBytes, bytesPerSecond }) => {
              const fraction = totalBytes ? receivedBytes / totalBytes : 0;
              this.fraction = fraction;
              const left = totalBytes && bytesPerSecond > 0 ? `, ${duration((totalBytes - receivedBytes) / bytesPerSecond)} left` : "";
              progress.report({
                increment: (fraction - shown) * 100,
                message: `${size(receivedBytes)} of ${totalBytes ? size(totalBytes) : "?"}${left}`,
              });
              shown = fraction;
            },
          });
        },
      );
      await this.context.globalState.update(UNFINISHED, undefined);
      this.log.info(`Downloaded ${model.title} to ${file}; its sha256 was checked.`);
      await this.use(file);
    } catch (error) {
      await this.ended(model, running.discard, toActError(error));
    } finally {
      this.running = null;
      this.fraction = null;
      this.tellContext();
    }
  }

  /** Loads a model file and uses it from now on. A file that cannot be loaded leaves the model that was chosen in its place. */
  async use(file: string): Promise<void> {
    // A file that crashed the engine is not tried again by itself; being chosen is another matter.
    await releaseFromQuarantine(file);
    try {
      await vscode.window.withProgress({ location: vscode.ProgressLocation.Window, title: `ACT: loading ${path.basename(file)}` }, () =>
        this.engine.tryModel(file),
      );
      await this.settings.set("model.path", file);
      vscode.window.setStatusBarMessage(`ACT: ${this.engine.modelName} is ready`, 5000);
    } catch (error) {
      const again = "Choose Another Model";
      const failure = toActError(error);
      if (failure.code === "cancelled") return;
      // Not waited for: the message may stay open as long as it likes.
      const kept = this.engine.modelName;
      const said = kept ? `${failure.message} ${kept} stays in use.` : failure.message;
      void vscode.window.showErrorMessage(said, again).then((answer) => {
        if (answer === again) void this.choose();
      });
    }
  }

  private async items(): Promise<(vscode.QuickPickItem & { run?: () => Promise<void> })[]> {
    const current = this.settings.get("model.path");
    const unfinished = this.context.globalState.get<string>(UNFINISHED);
    const known = await Promise.all(
      KNOWN_MODELS.map(async (model) => {
        const file = modelPath(model);
        const here = await isDownloaded(model);
        const state = here
          ? file === current
            ? "in use"
            : "downloaded"
          : model.id === unfinished
            ? "download paused: choose to go on"
            : "";
        return {
          label: `$(${here ? (file === current ? "check" : "circle-large-outline") : "cloud-download"}) ${model.title}`,
          description: [size(model.bytes), model.licence, state].filter((part) => part !== "").join(" · "),
          detail: `${fit(model.bytes)} ${model.note}${model.infill ? " Fills in the middle." : ""}`,
          run: () => (here ? this.use(file) : this.download(model)),
        };
      }),
    );
    return [
      ...known,
      { label: "", kind: vscode.QuickPickItemKind.Separator },
      {
        label: "$(file) Use a GGUF file of my own…",
        description: current && !known.some((k) => k.description.includes("in use")) ? `now: ${path.basename(current)}` : "",
        run: () => this.openFile(),
      },
    ];
  }

  private async openFile(): Promise<void> {
    const [uri] =
      (await vscode.window.showOpenDialog({ title: "Use a GGUF file", filters: { "GGUF models": ["gguf"] }, openLabel: "Use" })) ?? [];
    if (uri) await this.use(uri.fsPath);
  }

  private end(discard: boolean): void {
    if (!this.running) return void vscode.window.showInformationMessage("No model is being downloaded.");
    this.running.discard = discard;
    this.running.abort.abort();
  }

  private async resume(): Promise<void> {
    const id = this.context.globalState.get<string>(UNFINISHED);
    if (!id) return void vscode.window.showInformationMessage("There is no paused download.");
    await this.download(knownModel(id));
  }

  private async ended(model: KnownModel, discard: boolean, failure: ReturnType<typeof toActError>): Promise<void> {
    if (discard) {
      await discardDownload(modelPath(model));
      await this.context.globalState.update(UNFINISHED, undefined);
      return void vscode.window.setStatusBarMessage("ACT: download cancelled", 5000);
    }
    const [again, remove] = ["Resume", "Discard"];
    const paused = failure.code === "cancelled";
    const said = paused
      ? `The download of ${model.title} is paused${this.fraction ? ` at ${Math.floor(this.fraction * 100)} %` : ""}.`
      : failure.message;
    if (!paused) this.log.error(said);
    const show = paused ? vscode.window.showInformationMessage : vscode.window.showErrorMessage;
    void show(said, again, remove).then(async (answer) => {
      if (answer === again) await this.download(model);
      if (answer === remove) {
        await discardDownload(modelPath(model));
        await this.context.globalState.update(UNFINISHED, undefined);
        this.tellContext();
      }
    });
  }

  private tellContext(): void {
    const set = (key: string, value: boolean) => void vscode.commands.executeCommand("setContext", key, value);
    set("act.modelChosen", this.settings.get("model.path") !== "");
    set("act.downloading", this.running !== null);
    set("act.downloadPaused", this.running === null && this.context.globalState.get(UNFINISHED) !== undefined);
  }
}

/** Whether a model of this size runs here, in a sentence. Weights plus a tenth for the context and half a GiB for the rest. */
export function fit(bytes: number, total = totalmem(), available = availableMemory()): string {
  const needed = bytes * 1.1 + 0.5 * 2 ** 30;
  if (needed > total * 0.9) return `Too large for this machine: needs about ${gib(needed)}.`;
  if (needed > available) return `Tight: needs about ${gib(needed)} and ${gib(available)} are free now.`;
  return `Fits: needs about ${gib(needed)}.`;
}

function gib(bytes: number): string {
  return `${(bytes / 2 ** 30).toFixed(1)} GiB`;
}

function size(bytes: number): string {
  return bytes >= 1e9 ? `${(bytes / 1e9).toFixed(1)} GB` : `${Math.round(bytes / 1e6)} MB`;
}

function duration(seconds: number): string {
  return seconds < 90 ? `${Math.ceil(seconds)} s` : `${Math.round(seconds / 60)} min`;
}
