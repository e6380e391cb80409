import * as vscode from "vscode";
import { balanced, withoutRestOfLine } from "../../core/completion/balance.js";
import { CHARACTERS_PER_TOKEN, RELATED_SHARE, shares } from "../../core/completion/budget.js";
import { AnswerCache } from "../../core/completion/cache.js";
import { AdaptiveDebounce } from "../../core/completion/debounce.js";
import { afterBlanks, type CursorText, type Extent, extentAt, finishedAt, unsuitable, windowAround } from "../../core/completion/extent.js";
import { indentOf, type LanguageRules, opensBlock, rulesFor } from "../../core/completion/language.js";
import { type FilterContext, type Filtered, postprocess } from "../../core/completion/postprocess.js";
import type { InfillParams, InfillResult } from "../../protocol/engine.js";
import { toActError } from "../../protocol/errors.js";
import type { ActiveSet } from "../calibration/active-sets.js";
import { type Engine, signalOf } from "../engine/engine.js";
import type { Settings } from "../settings.js";
import { Ahead } from "./ahead.js";
import type { RepositoryContext } from "./context.js";
import { cellsBefore } from "./notebook.js";
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
  private readonly ahead = new Ahead();
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
    const entry: RecordEntry = { ...blankEntry(document), line: position.line, trigger: invoked ? "invoked" : "typing" };
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
    const known = this.known(place);
    if (known !== null) {
      entry.source = "cache";
      return this.shown(entry, known, place);
    }
    const ahead = await this.ahead.at(place.cursor);
    if (token.isCancellationRequested) return nothing(entry, "cancelled", "The next key came before the answer.");
    const ready = ahead ? this.known(place) : null;
    if (ready !== null) {
      entry.source = "ahead";
      return this.shown(entry, ready, place);
    }
    if (ahead === false) return nothing(entry, "nothing", "The model had nothing to add here.");
    this.ahead.stop();

    if (entry.trigger === "typing") {
      const delay = this.debounce.delay(/^\s*$/.test(place.cursor.prefix.slice(place.cursor.prefix.lastIndexOf("\n") + 1)));
      const before = performance.now();
      await pause(delay, token);
      entry.waitedMs = performance.now() - before;
      if (token.isCancellationRequested) return nothing(entry, "cancelled", "The next key came within the waiting time.");
    }

    const { text, dropped } = await this.ask(place, entry, signalOf(token));
    // The answer is known now: the user may have typed what it begins with.
    if (token.isCancellationRequested) return nothing(entry, "cancelled", "The next key came before the answer.");
    if (dropped) {
      entry.droppedBy = dropped;
      return nothing(
        entry,
        "nothing",
        dropped === "empty" ? "The model had nothing to add here." : `The filter "${dropped}" left nothing of the answer.`,
      );
    }
    return this.shown(entry, text, place);
  }

  /** What is known for a place without asking. It was filtered where it was asked for; only what the editor has closed since is not said again. */
  private known({ cursor, filter }: Place): string | null {
    const found = this.cache.find(cursor);
    if (!found) return null;
    const closed = found.typed > 0 && /^[)\]}"'`]/.test(cursor.suffix);
    const text = closed ? balanced(withoutRestOfLine(found.text, filter), filter) : found.text;
    return text.trim() === "" ? null : text;
  }

  private shown(entry: RecordEntry, text: string, place: Place): vscode.InlineCompletionItem[] {
    entry.outcome = "shown";
    this.lookAhead(place, text);
    const ending = place.document.eol === vscode.EndOfLine.CRLF ? text.replaceAll("\n", "\r\n") : text;
    return [new vscode.InlineCompletionItem(place.selected + ending, place.range)];
  }

  /** Computes what comes behind a shown suggestion, as if it were accepted; where that is nothing, what comes on the next line. */
  private lookAhead(place: Place, text: string): void {
    const next = this.moved(place, text);
    const entry: RecordEntry = { ...blankEntry(place.document), line: place.range.end.line, trigger: "ahead" };
    this.ahead.start(next.cursor, async (signal) => {
      if (this.known(next) !== null) return true;
      const { text: found } = await this.ask(next, entry, signal);
      if (found !== "") return true;
      if (/^\s*(\n|$)/.test(next.cursor.suffix)) {
        const line = next.cursor.prefix.slice(next.cursor.prefix.lastIndexOf("\n") + 1);
        const step = next.filter.indentation === "tabs" ? "\t" : " ".repeat(next.filter.tabSize);
        const below = this.moved(next, `\n${indentOf(line)}${opensBlock(line, next.rules) ? step : ""}`);
        if (this.known(below) === null) await this.ask(below, entry, signal);
      }
      return false;
    });
  }

  /** The place behind a text that is not in the document yet. */
  private moved(place: Place, text: string): Place {
    const cursor = { prefix: place.cursor.prefix + text, suffix: place.cursor.suffix };
    const extent = extentAt(cursor, place.rules);
    return { ...place, cursor, extent, filter: { ...place.filter, ...cursor, extent }, sent: cursor.prefix };
  }

  /** Asks the model at a place and keeps its answer; `entry` says how it went. */
  private async ask(place: Place, entry: RecordEntry, signal: AbortSignal): Promise<Filtered> {
    const waiting = performance.now();
    const model = await this.engine.model(signal);
    const calibration = this.headSet.calibration(model);
    entry.calibrated = calibration !== null;
    place.sent = model.infill ? place.cursor.prefix : place.cursor.prefix.trimEnd();
    const budget = this.settings.get("completions.contextTokens");
    const related = this.repository.pick(place.document, entry.line, place.cursor, budget * RELATED_SHARE * CHARACTERS_PER_TOKEN);
    entry.context = related.map(({ path, line }) => ({ file: path, line }));
    const maxTokens = this.settings.get("completions.maxTokens");
    const params: InfillParams = {
      suffix: place.cursor.suffix,
      prefix: place.sent,
      path: entry.file,
      context: related.map(({ path, text }) => ({ path, text })),
      maxPromptTokens: budget,
      maxTokens: place.extent === "line" ? Math.min(64, maxTokens) : maxTokens,
      calibration,
    };
    if (entry.trigger !== "ahead") this.lastPrompt = params;
    const answer = await this.infill(params, place, signal);
    entry.engineMs = performance.now() - waiting;
    if (entry.trigger !== "ahead") this.debounce.answered(entry.engineMs);
    entry.source = "engine";
    entry.answer = answer.text;
    if (answer.form) entry.form = answer.form;
    if (answer.timings) entry.timings = answer.timings;
    const filtered = postprocess(answer.text, place.filter);
    entry.filters = filtered.applied;
    if (filtered.text !== "") this.cache.add(place.cursor, filtered.text);
    return filtered;
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
    const before = cellsBefore(document);
    const offset = before.length + document.offsetAt(position);
    const text = before + document.getText();
    // The engine cuts to the exact budget.
    const share = shares(this.settings.get("completions.contextTokens") * CHARACTERS_PER_TOKEN, offset, text.length - offset);
    const cursor = windowAround(text, offset, share.before, share.after);
    if (selected) {
      // The suggest list is open: go on from its chosen entry as if it were typed.
      const typed = document.offsetAt(position) - document.offsetAt(selected.range.start);
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
    if (key !== this.cacheKey) {
      this.cache.clear();
      this.ahead.stop();
    }
    this.cacheKey = key;
  }
}

function nothing(entry: RecordEntry, outcome: RecordEntry["outcome"], reason: string): vscode.InlineCompletionItem[] {
  entry.outcome = outcome;
  entry.reason = reason;
  return [];
}

function blankEntry(document: vscode.TextDocument): Omit<RecordEntry, "line" | "trigger"> {
  return { at: new Date().toISOString(), file: shownPath(document.uri), language: document.languageId, outcome: "waiting" };
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
