import * as vscode from "vscode";
import type { Attachment } from "../../protocol/chat.js";
import { type CommandId, registerCommand } from "../commands.js";
import type { Services } from "../services.js";
import { attachRange, problemsText, Refusal } from "./attach.js";

/** What is asked about the selection, or about the function or class around the cursor. */
const ACTIONS: { command: CommandId; question: string }[] = [
  { command: "act.explain", question: "Explain what this code does and how." },
  {
    command: "act.fix",
    question:
      "Find what is wrong in this code and fix it. Answer with the corrected code in one code block, then say in a sentence what was wrong.",
  },
  {
    command: "act.tests",
    question: "Write tests for this code, with the test framework that is usual for its language. Answer with one code block.",
  },
  {
    command: "act.document",
    question:
      "Write documentation comments for this code in the form that is usual for its language. Answer with the whole code in one code block.",
  },
];

export function registerEditorActions({ chat, privacy }: Services): vscode.Disposable {
  return vscode.Disposable.from(
    ...ACTIONS.map(({ command, question }) =>
      registerCommand(command, async () => {
        const editor = vscode.window.activeTextEditor;
        if (!editor) return void vscode.window.showWarningMessage("Open a file in the editor first: the question is about its code.");
        const { document } = editor;
        const range = await rangeOf(editor);
        const problems = vscode.languages.getDiagnostics(document.uri).filter((one) => range.intersection(one.range));
        const named =
          command === "act.fix" && problems.length > 0 ? `${question}\n\nProblems:\n${problemsText(document, problems)}` : question;
        await chat.askAbout(named, async (): Promise<Attachment> => {
          if (document.getText(range).trim() === "")
            throw new Refusal("There is no code here. Select some, or put the cursor into a function.");
          return await attachRange(document, range, privacy);
        });
      }),
    ),
  );
}

/** Whole lines: of the selection; else of the innermost function, class or the like around the cursor; else the paragraph around it. */
async function rangeOf({ document, selection }: vscode.TextEditor): Promise<vscode.Range> {
  const lines = (first: number, last: number) => document.validateRange(new vscode.Range(first, 0, last, Number.MAX_SAFE_INTEGER));
  if (!selection.isEmpty) {
    const last = selection.end.character === 0 && selection.end.line > selection.start.line ? selection.end.line - 1 : selection.end.line;
    return lines(selection.start.line, last);
  }
  const symbols = await vscode.commands.executeCommand<(vscode.DocumentSymbol | vscode.SymbolInformation)[] | undefined>(
    "vscode.executeDocumentSymbolProvider",
    document.uri,
  );
  const found = innermost(symbols ?? [], selection.active);
  if (found) return lines(found.start.line, found.end.line);
  let [first, last] = [selection.active.line, selection.active.line];
  while (first > 0 && !document.lineAt(first - 1).isEmptyOrWhitespace) first--;
  while (last < document.lineCount - 1 && !document.lineAt(last + 1).isEmptyOrWhitespace) last++;
  return lines(first, last);
}

const WHOLE: ReadonlySet<vscode.SymbolKind> = new Set([
  vscode.SymbolKind.Function,
  vscode.SymbolKind.Method,
  vscode.SymbolKind.Constructor,
  vscode.SymbolKind.Class,
  vscode.SymbolKind.Interface,
  vscode.SymbolKind.Enum,
  vscode.SymbolKind.Struct,
]);

function innermost(symbols: readonly (vscode.DocumentSymbol | vscode.SymbolInformation)[], at: vscode.Position): vscode.Range | null {
  for (const symbol of symbols) {
    const range = "location" in symbol ? symbol.location.range : symbol.range;
    if (!range.contains(at)) continue;
    const inner = "children" in symbol ? innermost(symbol.children, at) : null;
    if (inner) return inner;
    if (WHOLE.has(symbol.kind)) return range;
  }
  return null;
}
