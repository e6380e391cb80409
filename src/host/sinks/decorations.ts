import * as vscode from "vscode";
import { placeTokens } from "../../core/sinks/place.js";
import { allSinksAt, averageMeans, meansOf, type ViewedSinks, visibleToken } from "../../core/sinks/values.js";
import type { Head, Threshold } from "../../protocol/calibration.js";
import type { SinkMap } from "../../protocol/engine.js";

/** The text of an editor that a prompt was made of. */
export interface SourceText {
  document: vscode.Uri;
  /** Offset in the document of the first character of `text`. */
  offset: number;
  text: string;
}

/** With no head chosen, tokens that at least this share of all heads uses as a sink are marked. */
const COMMON = 0.1;

/** Marks the sinks of a prompt in the file that it came from. Marks vanish where the text was changed: they would point at something else. */
export class SinkDecorations implements vscode.Disposable {
  private readonly sink = vscode.window.createTextEditorDecorationType({
    backgroundColor: new vscode.ThemeColor("editor.findMatchHighlightBackground"),
    overviewRulerColor: new vscode.ThemeColor("charts.yellow"),
    overviewRulerLane: vscode.OverviewRulerLane.Right,
    rangeBehavior: vscode.DecorationRangeBehavior.ClosedClosed,
  });
  private readonly initial = vscode.window.createTextEditorDecorationType({
    border: "1px dotted",
    borderColor: new vscode.ThemeColor("charts.blue"),
    rangeBehavior: vscode.DecorationRangeBehavior.ClosedClosed,
  });
  private shown: { source: SourceText; sinks: vscode.DecorationOptions[]; initial: vscode.DecorationOptions[] } | null = null;
  private readonly listening: vscode.Disposable;

  constructor() {
    this.listening = vscode.Disposable.from(
      vscode.window.onDidChangeVisibleTextEditors(() => this.draw()),
      vscode.workspace.onDidChangeTextDocument((event) => {
        if (this.shown && event.document.uri.toString() === this.shown.source.document.toString()) this.clear();
      }),
    );
  }

  get visible(): boolean {
    return this.shown !== null;
  }

  /** @returns how many tokens are marked; 0 where the file no longer holds the prompt's text */
  async show(source: SourceText, map: SinkMap, head: Head | null, threshold: Threshold): Promise<number> {
    const document = await vscode.workspace.openTextDocument(source.document);
    if (!document.getText().startsWith(source.text, source.offset)) {
      this.clear();
      return 0;
    }
    const places = placeTokens(map.tokens, source.text);
    const options = (marks: Map<number, string>) =>
      [...marks].flatMap(([key, says]): vscode.DecorationOptions[] => {
        const place = places[key];
        if (!place) return [];
        const range = new vscode.Range(document.positionAt(source.offset + place[0]), document.positionAt(source.offset + place[1]));
        return [{ range, hoverMessage: `ACT: “${visibleToken(map.tokens[key] ?? "")}” ${says}` }];
      });
    const marks = head ? marksOfHead(map, head, threshold) : marksOfAll(map, threshold);
    this.shown = { source, sinks: options(marks.sinks), initial: options(marks.initial) };
    this.draw();
    return this.shown.sinks.length + this.shown.initial.length;
  }

  clear(): void {
    this.shown = null;
    this.draw();
  }

  dispose(): void {
    this.listening.dispose();
    this.sink.dispose();
    this.initial.dispose();
  }

  private draw(): void {
    for (const editor of vscode.window.visibleTextEditors) {
      const here = this.shown && editor.document.uri.toString() === this.shown.source.document.toString() ? this.shown : null;
      editor.setDecorations(this.sink, here?.sinks ?? []);
      editor.setDecorations(this.initial, here?.initial ?? []);
    }
  }
}

interface Marks {
  sinks: Map<number, string>;
  initial: Map<number, string>;
}

function marksOfHead(map: SinkMap, [layer, head]: Head, threshold: Threshold): Marks {
  const means = meansOf(map, layer, head);
  const { exempt, positions } = allSinksAt(map, threshold)[layer * map.heads + head] as ViewedSinks;
  const says = (key: number, what: string) =>
    `is ${what} of layer ${layer}, head ${head}: column mean ${(means[key] as number).toFixed(3)}`;
  return {
    sinks: new Map(positions.map((key) => [key, says(key, "a sink")])),
    initial: new Map(exempt === null ? [] : [[exempt, says(exempt, "the initial sink")]]),
  };
}

function marksOfAll(map: SinkMap, threshold: Threshold): Marks {
  const average = averageMeans(map);
  const heads = map.layers * map.heads;
  const counted = { sinks: new Uint32Array(map.tokens.length), initial: new Uint32Array(map.tokens.length) };
  const add = (counts: Uint32Array, key: number) => {
    counts[key] = (counts[key] as number) + 1;
  };
  for (const { exempt, positions } of allSinksAt(map, threshold)) {
    if (exempt !== null) add(counted.initial, exempt);
    for (const key of positions) add(counted.sinks, key);
  }
  const common = (counts: Uint32Array, what: string) =>
    new Map(
      [...counts.entries()]
        .filter(([, count]) => count >= COMMON * heads)
        .map(([key, count]) => [
          key,
          `is ${what} of ${count} of ${heads} heads: average column mean ${(average[key] as number).toFixed(3)}`,
        ]),
    );
  return { sinks: common(counted.sinks, "a sink"), initial: common(counted.initial, "the initial sink") };
}
