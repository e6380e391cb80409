import { createHash } from "node:crypto";
import { readFile, rm } from "node:fs/promises";
import * as path from "node:path";
import * as v from "valibot";
import * as vscode from "vscode";
import { finishSnapshot, foldProgress, percentOf, startSnapshot } from "../../core/search/snapshot.js";
import { type CalibratePanelState, type CalibrateToHost, SearchPlaceSchema } from "../../protocol/calibrate-panel.js";
import { DEFAULT_BETA, DEFAULT_THRESHOLD, type Method, MethodSchema } from "../../protocol/calibration.js";
import type { CalibrateParams, CalibrateResult, ModelInfo } from "../../protocol/engine.js";
import { ActError, toActError } from "../../protocol/errors.js";
import { writeFileAtomic } from "../../store/atomic.js";
import { promptsFile } from "../../store/journal.js";
import { tryLock } from "../../store/lock.mjs";
import type { Services } from "../services.js";

const SEED = 42;
/** ZeroTuning's strength for the initial token, which has no use for ACT's beta. */
const ZERO_TUNING_GAIN = 2;

/** A search that is under way or was cut off: all that is needed to go on. */
const SearchSchema = v.object({
  place: SearchPlaceSchema,
  workspace: v.nullable(v.string()),
  budgetMinutes: v.number(),
  method: MethodSchema,
  journal: v.string(),
  model: v.string(),
  startedAt: v.number(),
});
type Search = v.InferOutput<typeof SearchSchema>;

type Start = Extract<CalibrateToHost, { type: "start" }>;

/** The search of this window: starts, cancels and resumes it. One search at a time on this machine, whichever window it is in. */
export class SearchRun implements vscode.Disposable {
  private readonly changed = new vscode.EventEmitter<void>();
  readonly onDidChange = this.changed.event;
  phase: CalibratePanelState["phase"] = "idle";
  message = "";
  /** Whether the verdict is that calibration helps; null while there is none. */
  helps: boolean | null = null;
  snapshot: CalibratePanelState["run"] = null;
  /** Of the whole search, never falling while it runs; null where the time left is not known yet. */
  percent: number | null = null;
  private wentOn = 0;
  private search: Search | null = null;
  private abort: AbortController | null = null;
  private readonly home: string;

  /** @param onResult keeps the head set of a search that is over, and says in a sentence what became of it */
  constructor(
    private readonly services: Services,
    private readonly onResult: (result: CalibrateResult, place: Search["place"]) => Promise<string>,
  ) {
    this.home = path.join(services.context.globalStorageUri.fsPath, "calibrate");
  }

  get busy(): boolean {
    return this.phase === "starting" || this.phase === "running" || this.phase === "cancelling";
  }

  get resumable(): CalibratePanelState["resumable"] {
    if (!this.search || this.busy) return null;
    const { place, budgetMinutes, startedAt } = this.search;
    return { place, budgetMinutes, startedAt };
  }

  /** Reads whether a search was cut off. */
  async read(): Promise<void> {
    try {
      const kept = v.safeParse(SearchSchema, JSON.parse(await readFile(path.join(this.home, "search.json"), "utf8")));
      if (kept.success) this.search = kept.output;
    } catch {
      // no search was cut off
    }
  }

  /** @throws ActError `usage` where the folder cannot be searched on */
  async start({ place: asked, budgetMinutes, method }: Start): Promise<void> {
    if (this.busy) return;
    const folder = asked.kind === "workspace" ? searchableFolder() : null;
    await this.go(
      {
        place: asked.kind === "workspace" ? { kind: "workspace", name: folder?.name ?? "" } : asked,
        workspace: folder?.uri.fsPath ?? null,
        budgetMinutes,
        method,
        journal: "",
        model: "",
        startedAt: Date.now(),
      },
      false,
    );
  }

  async resume(): Promise<void> {
    if (this.search) await this.go(this.search, true);
  }

  cancel(): void {
    if (!this.abort) return;
    this.phase = "cancelling";
    this.say("Cancelling…");
    this.abort.abort();
  }

  dispose(): void {
    this.abort?.abort();
    this.changed.dispose();
  }

  private async go(wanted: Search, resume: boolean): Promise<void> {
    if (this.busy) return;
    this.phase = "starting";
    this.helps = null;
    this.percent = null;
    this.say("Loading the model…");
    const abort = new AbortController();
    this.abort = abort;
    const lock = await tryLock(path.join(this.home, "search.lock"));
    if (!lock) {
      this.phase = "idle";
      return this.say("Another window is calibrating. Wait until it has finished, or cancel it there.");
    }
    try {
      const model = await this.services.engine.model(abort.signal);
      const search = resume ? wanted : { ...wanted, model: model.sha256, journal: this.journalOf(wanted, model) };
      if (resume && search.model !== model.sha256) {
        throw new ActError(
          "usage",
          `That search was for another model. Load it again to go on, or start a new search for ${this.services.engine.modelName ?? model.name}.`,
        );
      }
      this.search = search;
      await writeFileAtomic(path.join(this.home, "search.json"), JSON.stringify(search));
      if (!resume || !this.snapshot) this.snapshot = startSnapshot(search.place, model.layers, model.heads, search.startedAt);
      this.phase = "running";
      this.wentOn = Date.now();
      this.say(
        `Searching on ${search.place.kind === "workspace" ? `the files of ${search.place.name}` : search.place.tasks.join(", ")}. Ghost texts keep coming; they go first.`,
      );
      const result = await this.services.engine.request("calibrate", paramsOf(search, resume), {
        signal: abort.signal,
        onProgress: (event) => {
          if (!this.snapshot) return;
          this.snapshot = foldProgress(this.snapshot, event);
          this.percent = percentOf(this.wentOn, Date.now(), event.secondsLeft, this.percent);
          this.changed.fire();
        },
      });
      await this.finish(result, search.place);
    } catch (error) {
      // Where nothing was measured there is nothing to go on from.
      if (!resume && this.phase === "running" && this.snapshot?.forwardPasses === 0) await this.forget();
      this.fail(toActError(error), abort.signal.aborted);
    } finally {
      this.abort = null;
      await lock.release();
    }
  }

  private async finish(result: CalibrateResult, place: Search["place"]): Promise<void> {
    const said = await this.onResult(result, place);
    await this.forget();
    this.snapshot = this.snapshot && finishSnapshot(this.snapshot);
    this.phase = "done";
    this.helps = result.helps;
    this.say(said);
  }

  private fail(failure: ActError, cancelled: boolean): void {
    const stopped = cancelled || failure.code === "cancelled";
    this.phase = stopped ? "idle" : "failed";
    const kept = this.search ? " What was measured is kept; it can go on from there." : "";
    this.say(stopped ? `Cancelled.${kept}` : `${failure.message}${failure.code === "engine-gone" ? kept : ""}`);
    if (!stopped) this.services.log.error(`Calibrate: ${failure.message}`);
  }

  /** One journal per model, place and method, so that the same search goes on and another one starts anew. */
  private journalOf({ place, workspace, method, startedAt }: Search, model: ModelInfo): string {
    const key = createHash("sha256")
      .update(JSON.stringify([model.sha256, place, workspace, method, startedAt]))
      .digest("hex");
    return path.join(this.home, `${key.slice(0, 16)}.journal.jsonl`);
  }

  private async forget(): Promise<void> {
    // Pieces of the user's own files: not kept for longer than they are needed.
    if (this.search) await rm(promptsFile(this.search.journal), { force: true });
    this.search = null;
    await rm(path.join(this.home, "search.json"), { force: true });
  }

  private say(message: string): void {
    this.message = message;
    this.changed.fire();
  }
}

/** The open folder, where a search may read its files. */
function searchableFolder(): vscode.WorkspaceFolder {
  const folder = vscode.workspace.workspaceFolders?.[0];
  if (!folder) throw new ActError("usage", "No folder is open. Open one to calibrate on its files, or choose named tasks.");
  if (!vscode.workspace.isTrusted)
    throw new ActError("usage", "This workspace is not trusted, so its files are not read. Trust it, or choose named tasks.");
  if (folder.uri.scheme !== "file") throw new ActError("usage", "The open folder is not on the local disk. Choose named tasks.");
  return folder;
}

function paramsOf({ place, workspace, method, budgetMinutes, journal }: Search, resume: boolean): CalibrateParams {
  return {
    ...(place.kind === "workspace" ? { workspace: workspace ?? "" } : { tasks: place.tasks }),
    ...(process.env.ACT_DATA && { data: process.env.ACT_DATA }),
    method,
    beta: betaOf(method),
    threshold: DEFAULT_THRESHOLD,
    statistics: "running",
    seed: SEED,
    budgetMinutes,
    journal,
    resume,
  };
}

function betaOf(method: Method): number {
  return method === "act" ? DEFAULT_BETA : ZERO_TUNING_GAIN;
}
