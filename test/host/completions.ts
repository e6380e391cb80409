import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import * as vscode from "vscode";
import { test, until } from "./harness.js";
import { openWith, services, withSetting, workspaceFolder } from "./services.js";

/** Asks the provider as the editor does. */
async function ask(editor: vscode.TextEditor): Promise<vscode.InlineCompletionItem[]> {
  const { completions } = await services();
  const context: vscode.InlineCompletionContext = {
    triggerKind: vscode.InlineCompletionTriggerKind.Invoke,
    selectedCompletionInfo: undefined,
  };
  return await completions.provideInlineCompletionItems(
    editor.document,
    editor.selection.active,
    context,
    new vscode.CancellationTokenSource().token,
  );
}

const PYTHON =
  'def add(a, b):\n    """Add two numbers."""\n    return a + b\n\n\ndef subtract(a, b):\n    """Subtract two numbers."""\n    ‸\n';

test("a suggestion comes from the model, and the record says how", async () => {
  const editor = await openWith("math.py", PYTHON);
  const items = await ask(editor);
  const { record } = await services();
  const entry = record.all.at(-1);
  assert.ok(entry);
  assert.equal(items.length, 1, JSON.stringify(entry));
  assert.equal(entry.outcome, "shown");
  assert.equal(entry.source, "engine");
  assert.ok((entry.engineMs ?? 0) > 0);
  assert.match(String(items[0]?.insertText), /return/);
}, 120_000);

test("the same place is answered from the cache, and so is what was typed of it", async () => {
  const { record } = await services();
  const editor = await openWith("math.py", PYTHON);
  const [item] = await ask(editor);
  assert.equal(record.all.at(-1)?.source, "cache");
  const text = String(item?.insertText);
  await editor.edit((edit) => edit.insert(editor.selection.active, text.slice(0, 3)));
  const [rest] = await ask(editor);
  assert.equal(record.all.at(-1)?.source, "cache");
  assert.equal(String(rest?.insertText), text.slice(3));
});

test("what comes behind a suggestion is computed while it is shown: accepted, nothing is asked again", async () => {
  const { record } = await services();
  const editor = await openWith("ahead.py", PYTHON);
  const [item] = await ask(editor);
  await new Promise((resolve) => setTimeout(resolve, 3000));
  await editor.edit((edit) => edit.insert(editor.selection.active, String(item?.insertText)));
  await ask(editor);
  const accepted = record.all.at(-1);
  assert.equal(accepted?.engineMs, undefined, JSON.stringify(accepted));
  assert.ok((accepted?.totalMs ?? 1000) < 100, `${accepted?.totalMs} ms`);
  await editor.edit((edit) => edit.insert(editor.selection.active, "\n    "));
  await ask(editor);
  const below = record.all.at(-1);
  assert.equal(below?.engineMs, undefined, JSON.stringify(below));
}, 60_000);

test("the rest of an accepted line is never asked again", async () => {
  const { record } = await services();
  const editor = await openWith("lines.ts", "export function area(w: number, h: number) {‸\n");
  const [item] = await ask(editor);
  const lines = String(item?.insertText).split("\n");
  assert.ok(lines.length > 1, String(item?.insertText));
  await editor.edit((edit) => edit.insert(editor.selection.active, lines.slice(0, 2).join("\n")));
  const [rest] = await ask(editor);
  if (lines.length > 2) assert.equal(String(rest?.insertText), `\n${lines.slice(2).join("\n")}`);
  assert.equal(record.all.at(-1)?.engineMs, undefined);
}, 60_000);

test("the cells before the cursor's are in the prompt of a notebook", async () => {
  const { completions } = await services();
  const cell = (kind: vscode.NotebookCellKind, text: string, language: string) => new vscode.NotebookCellData(kind, text, language);
  const notebook = await vscode.workspace.openNotebookDocument(
    "jupyter-notebook",
    new vscode.NotebookData([
      cell(vscode.NotebookCellKind.Code, "var_a = 1\nvar_b = 2\n", "python"),
      cell(vscode.NotebookCellKind.Markup, "Shown below", "markdown"),
      cell(vscode.NotebookCellKind.Code, "# print all variables\n", "python"),
    ]),
  );
  const { document } = notebook.cellAt(2);
  const context = { triggerKind: vscode.InlineCompletionTriggerKind.Invoke, selectedCompletionInfo: undefined };
  await completions.provideInlineCompletionItems(document, new vscode.Position(1, 0), context, new vscode.CancellationTokenSource().token);
  assert.match(completions.lastPrompt?.prefix ?? "", /^var_a = 1\nvar_b = 2\n\n# Shown below\n\n# print all variables/);
}, 60_000);

test("the editor shows it as ghost text and Tab takes it", async () => {
  const editor = await openWith("ghost.py", PYTHON);
  await vscode.commands.executeCommand("editor.action.inlineSuggest.trigger");
  await until("a suggestion is committed", async () => {
    await vscode.commands.executeCommand("editor.action.inlineSuggest.commit");
    return /Subtract two numbers\."""\n {4}\S/.test(editor.document.getText());
  });
});

test("a cancelled request ends at once and is recorded so", async () => {
  const { completions, record } = await services();
  const editor = await openWith("cancel.py", `${"# a long comment line that makes the prompt long\n".repeat(60)}def f():\n    ‸\n`);
  const source = new vscode.CancellationTokenSource();
  const started = performance.now();
  const answer = completions.provideInlineCompletionItems(
    editor.document,
    editor.selection.active,
    { triggerKind: vscode.InlineCompletionTriggerKind.Invoke, selectedCompletionInfo: undefined },
    source.token,
  );
  setTimeout(() => source.cancel(), 150);
  assert.deepEqual(await answer, []);
  assert.ok(performance.now() - started < 1000, "cancelled inside the prefill");
  assert.equal(record.all.at(-1)?.outcome, "cancelled");
});

test("paused languages, files and secrets get nothing, and the record says why", async () => {
  const { record } = await services();
  const editor = await openWith("paused.py", "x = ‸\n");
  await withSetting("completions.pausedLanguages", ["python"], async () => assert.deepEqual(await ask(editor), []));
  assert.match(record.all.at(-1)?.reason ?? "", /Paused for python/);
  await withSetting("completions.pausedFiles", ["**/paused.*"], async () => assert.deepEqual(await ask(editor), []));
  assert.match(record.all.at(-1)?.reason ?? "", /this file/);
  assert.deepEqual(await ask(await openWith(".env", "KEY=‸")), []);
  assert.match(record.all.at(-1)?.reason ?? "", /secrets/);
});

test("what a file imports is context; what git ignores, what may be secret and what holds a password is not", async () => {
  const { record } = await services();
  const folder = workspaceFolder();
  writeFileSync(join(folder, ".gitignore"), "private.py\n");
  writeFileSync(join(folder, "tax_rates.py"), "def tax_rate_of(country):\n    return {'NL': 0.21, 'DE': 0.19}[country]\n");
  // Put together here, so that no scanner takes this file for one with secrets.
  writeFileSync(join(folder, "tax_keys.py"), `def tax_rate_key(country):\n    return country\n\n\npass${'word = "tax4rates9"'}\n`);
  await openWith("private.py", "def tax_rate_of(country, secret):\n    return secret\n");
  await openWith(".env", "TAX_RATE_OF_COUNTRY=1\ntax_rate_of=2\nother=3\n");
  const editor = await openWith(
    "invoice.py",
    "from tax_keys import tax_rate_key\nfrom tax_rates import tax_rate_of\n\n\ndef with_tax(amount, country):\n    return amount * (1 + tax_rate_of(‸\n",
  );
  const files = await until("the imported file is in the context", async () => {
    await editor.edit((edit) => edit.insert(editor.selection.active, " "));
    await ask(editor);
    const context = record.all.at(-1)?.context?.map((c) => c.file) ?? [];
    return context.includes("tax_rates.py") ? context : null;
  });
  assert.ok(!files.includes("tax_keys.py"), "a piece with a password");
  assert.ok(!files.includes("private.py") && !files.includes(".env") && !files.includes("invoice.py"), files.join(", "));
}, 90_000);

test("what was edited in another file is context before it is saved", async () => {
  const { completions } = await services();
  const other = await openWith("rates.py", "# Rates\n‸\n");
  await other.edit((edit) => edit.insert(other.selection.active, "def shipping_rate_of(country, weight):\n    return weight * 2\n"));
  const editor = await openWith("order.py", "def order_total(weight, country):\n    return shipping_rate_of(country, ‸\n");
  await until("the edit is in the context", async () => {
    await editor.edit((edit) => edit.insert(editor.selection.active, " "));
    await ask(editor);
    return completions.lastPrompt?.context?.some(({ text }) => text.includes("def shipping_rate_of(country, weight)"));
  });
}, 90_000);

test("every odd cursor place and text is survived", async () => {
  const { record } = await services();
  const texts = ["‸", "\r\n‸\r\n", "\t‸\tx", "😀‸😀", "a\u0000b‸", `${"x".repeat(6000)}‸`, "‸}", "é\u0301‸", "//‸", "'‸'"];
  await withSetting("completions.maxTokens", 8, async () => {
    for (const [i, text] of texts.entries()) {
      const items = await ask(await openWith(`odd${i}.ts`, text));
      const entry = record.all.at(-1);
      assert.notEqual(entry?.outcome, "failed", `${JSON.stringify(text.slice(0, 20))}: ${entry?.reason}`);
      // biome-ignore lint/suspicious/noControlCharactersInRegex: what must not be there
      for (const item of items) assert.doesNotMatch(String(item.insertText), /\u0000|<\|/);
    }
  });
}, 120_000);

test("the record is a document of the last fifty requests, and JSON on the clipboard", async () => {
  const { record } = await services();
  await vscode.commands.executeCommand("act.whyNothing");
  const document = vscode.window.activeTextEditor?.document;
  assert.equal(document?.uri.scheme, "act-record");
  assert.match(document?.getText() ?? "", /Why did nothing appear/);
  assert.match(document?.getText() ?? "", /Paused for python/);
  await vscode.commands.executeCommand("act.copyRecord");
  const copied = JSON.parse(await vscode.env.clipboard.readText()) as unknown[];
  assert.equal(copied.length, record.all.length);
  assert.ok(copied.length <= 50);
});
