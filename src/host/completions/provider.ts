import * as vscode from "vscode";
import { CHARACTERS_PER_TOKEN, shares } from "../../core/completion/budget.js";
import { AnswerCache } from "../../core/completion/cache.js";
import { AdaptiveDebounce } from "../../core/completion/debounce.js";
import { afterBlanks, type CursorText, type Extent, extentAt, finishedAt, unsuitable, windowAround } from "../../core/completion/extent.js";
import { type LanguageRules, rulesFor } from "../../core/completion/language.js";
import { type FilterContext, postprocess } from "../../core/completion/postprocess.js";
import type { InfillParams, InfillResult } from "../../protocol/engine.js";
import { toActError } from "../../protocol/errors.js";
import type { ActiveSet } from "../calibration/active-sets.js";
import { type Engine, signalOf } from "../engine/engine.js";
import type { Settings } from "../settings.js";
import type { RepositoryContext } from "./context.js";
import { type Pauses, shownPath } from "./pauses.js";
import type { CompletionRecord, RecordEntry } from "./record.js";

/** Where people write: not output, diffs or our own documents. */
const SCHEMES = new Set(["file", "untitled", "vscode-remote", "vscode-notebook-cell", "vscode-userdata", "vscode-scm"]);

interface Place {
  document: vscode.TextDocument;
  cursor: CursorText;
  rules: LanguageRules;
  extent: Extent;
  filter: FilterContext;
  /** The prefix as the model gets it. Without fill-in tokens its trailing blanks are left out: see `afterBlanks`. */
  sent: string;
  /** What the suggestion replaces, and the text of it that stands there already (an entry chosen in the suggest list). */
  range: vscode.Range;
  selected: string;
}

/** Suggestions while typing: debounce, cache, context, engine, post-processing; every request leaves an entry in the record. */
export class InlineCompletions implements vscode.InlineCompletionItemProvider {
  private readonly debounce = new AdaptiveDebounce();
  private readonly cache = new AnswerCache();
  private cacheKey = "";
  /** The last prompt, for the sink panel. */
  lastPrompt: InfillParams | null = null;

  constructor(
    private readonly engine: Engine,
    private readonly settings: Settings,
    private readonly headSet: ActiveSet,
    private readonly pauses: Pauses,
    private readonly repository: RepositoryContext,
    private readonly record: CompletionRecord,
  ) {}

  async provideInlineCompletionItems(
    document: vscode.TextDocument,
    position: vscode.Position,
    context: vscode.InlineCompletionContext,
    token: vscode.CancellationToken,
  ): Promise<vscode.InlineCompletionItem[]> {
    if (!SCHEMES.has(document.uri.scheme)) return [];
    const started = performance.now();
    const invoked = context.triggerKind === vscode.InlineCompletionTriggerKind.Invoke;
    if (!invoked) this.debounce.key(started);
    const entry: RecordEntry = {
      at: new Date().toISOString(),
      file: shownPath(document.uri),
      language: document.languageId,
      line: position.line,
      trigger: invoked ? "invoked" : "typing",
      outcome: "waiting",
    };
    this.record.add(entry);
    try {
      const items = await this.answer(document, position, context, token, entry);
      if (items.length > 0) void vscode.commands.executeCommand("setContext", "act.suggestionShown", true);
      return items;
    } catch (error) {
      const failure = toActError(error);
      entry.outcome = failure.code === "cancelled" ? "cancelled" : "failed";
      entry.reason = failure.code === "cancelled" ? "The next key came before the answer." : failure.message;
      return [];
    } finally {
      entry.totalMs = performance.now() - started;
      entry.hostMs = entry.totalMs - (entry.engineMs ?? 0) - (entry.waitedMs ?? 0);
    }
  }

  private async answer(
    document: vscode.TextDocument,
    position: vscode.Position,
    context: vscode.InlineCompletionContext,
    token: vscode.CancellationToken,
    entry: RecordEntry,
  ): Promise<vscode.InlineCompletionItem[]> {
    const stay = this.pauses.reason(document) ?? unsuitable(document.getText(), document.offsetAt(position));
    if (stay) return nothing(entry, "paused", stay);
    if (this.engine.modelPath === "") return nothing(entry, "paused", 'No model is chosen yet. Run "ACT: Choose Model".');
    const place = this.place(document, position, context.selectedCompletionInfo);
    entry.extent = place.extent;
    entry.prefixCharacters = place.cursor.prefix.length;
    entry.suffixCharacters = place.cursor.suffix.length;

    await this.headSet.ready();
    this.forgetOtherModels();
    const known = this.cache.find(place.cursor);
    if (known) {
      const { text } = postprocess(known.text, place.filter);
      if (text !== "") {
        entry.source = "cache";
        return shown(entry, text, place);
      }
    }

    if (entry.trigger === "typing") {
      const delay = this.debounce.delay(/^\s*$/.test(place.cursor.prefix.slice(place.cursor.prefix.lastIndexOf("\n") + 1)));
      const before = performance.now();
      await pause(delay, token);
      entry.waitedMs = performance.now() - before;
      if (token.isCancellationRequested) return nothing(entry, "cancelled", "The next key came within the waiting time.");
    }

    const signal = signalOf(token);
    const waiting = performance.now();
    const model = await this.engine.model(signal);
    const calibration = this.headSet.calibration(model);
    entry.calibrated = calibration !== null;
    place.sent = model.infill ? place.cursor.prefix : place.cursor.prefix.trimEnd();
    const budget = this.settings.get("completions.contextTokens");
    const related = this.repository.pick(document, position.line, place.cursor, budget * 0.4 * CHARACTERS_PER_TOKEN);
    entry.context = related.map(({ path, line }) => ({ file: path, line }));
    const params: InfillParams = {
      suffix: place.cursor.suffix,
      prefix: place.sent,
      path: entry.file,
      context: related.map(({ path, text }) => ({ path, text })),
      maxPromptTokens: budget,
      maxTokens:
        place.extent === "line" ? Math.min(64, this.settings.get("completions.maxTokens")) : this.settings.get("completions.maxTokens"),
      calibration,
    };
    this.lastPrompt = params;
    const answer = await this.infill(params, place, signal);
    entry.engineMs = performance.now() - waiting;
    this.debounce.answered(entry.engineMs);
    entry.source = "engine";
    entry.answer = answer.text;
    if (answer.form) entry.form = answer.form;
    if (answer.timings) entry.timings = answer.timings;
    if (token.isCancellationRequested) {
      // The answer may still fit: the user may have typed what it begins with.
      if (answer.text.trim() !== "") this.cache.add(place.cursor, answer.text);
      return nothing(entry, "cancelled", "The next key came before the answer.");
    }
    const filtered = postprocess(answer.text, place.filter);
    entry.filters = filtered.applied;
    if (filtered.dropped) {
      entry.droppedBy = filtered.dropped;
      return nothing(
        entry,
        "nothing",
        filtered.dropped === "empty"
          ? "The model had nothing to add here."
          : `The filter "${filtered.dropped}" left nothing of the answer.`,
      );
    }
    this.cache.add(place.cursor, filtered.text);
    return shown(entry, filtered.text, place);
  }

  /** Asks the engine and stops it as soon as the answer is complete by the language's structure. */
  private async infill(
    params: InfillParams,
    place: Place,
    signal: AbortSignal,
  ): Promise<Pick<InfillResult, "text"> & Partial<InfillResult>> {
    const enough = new AbortController();
    const blanks = place.cursor.prefix.slice(place.sent.length);
    /** What there is of the answer, and whether that is all of it. */
    const read = (raw: string, ended: boolean) => {
      const text = afterBlanks(raw, blanks, ended);
      if (text === null) return { text: "", complete: ended };
      const end = finishedAt(text, place.extent, place.cursor, place.rules, place.filter.tabSize);
      return { text: end >= 0 ? text.slice(0, end) : text, complete: ended || end >= 0 };
    };
    let raw = "";
    let last = read(raw, false);
    try {
      const result = await this.engine.request("infill", params, {
        signal: AbortSignal.any([signal, enough.signal]),
        onProgress: (part) => {
          raw += part.text;
          if (last.complete) return;
          last = read(raw, false);
          if (last.complete) enough.abort();
        },
      });
      return { ...result, text: read(result.text, true).text };
    } catch (error) {
      if (last.complete && !signal.aborted) return { text: last.text };
      throw error;
    }
  }

  private place(document: vscode.TextDocument, position: vscode.Position, selected: vscode.SelectedCompletionInfo | undefined): Place {
    const offset = document.offsetAt(position);
    const text = document.getText();
    // The engine cuts to the exact budget.
    const share = shares(this.settings.get("completions.contextTokens") * CHARACTERS_PER_TOKEN, offset, text.length - offset);
    const cursor = windowAround(text, offset, share.before, share.after);
    if (selected) {
      // The suggest list is open: go on from its chosen entry as if it were typed.
      const typed = offset - document.offsetAt(selected.range.start);
      cursor.prefix = cursor.prefix.slice(0, cursor.prefix.length - typed) + selected.text;
    }
    const rules = rulesFor(document.languageId);
    const extent = extentAt(cursor, rules);
    const editor = vscode.window.visibleTextEditors.find((e) => e.document === document);
    const tabSize = Number(editor?.options.tabSize) || 4;
    const indentation = editor?.options.insertSpaces === false ? "tabs" : "spaces";
    return {
      document,
      cursor,
      rules,
      extent,
      filter: { ...cursor, rules, extent, indentation, tabSize },
      sent: cursor.prefix,
      range: selected?.range ?? new vscode.Range(position, position),
      selected: selected?.text ?? "",
    };
  }

  /** Answers of another model, or without the calibration, are not this one's. */
  private forgetOtherModels(): void {
    const key = JSON.stringify([this.engine.modelPath, this.headSet.calibration(this.engine.status.model)]);
    if (key !== this.cacheKey) this.cache.clear();
    this.cacheKey = key;
  }
}

function nothing(entry: RecordEntry, outcome: RecordEntry["outcome"], reason: string): vscode.InlineCompletionItem[] {
  entry.outcome = outcome;
  entry.reason = reason;
  return [];
}

function shown(entry: RecordEntry, text: string, place: Place): vscode.InlineCompletionItem[] {
  entry.outcome = "shown";
  const ending = place.document.eol === vscode.EndOfLine.CRLF ? text.replaceAll("\n", "\r\n") : text;
  return [new vscode.InlineCompletionItem(place.selected + ending, place.range)];
}

function pause(ms: number, token: vscode.CancellationToken): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, ms);
    const listening = token.onCancellationRequested(done);
    function done(): void {
      clearTimeout(timer);
      listening.dispose();
      resolve();
    }
  });
}
