import assert from "node:assert/strict";
import * as vscode from "vscode";
import { runAll, test } from "./harness.js";

test("the extension activates", async () => {
  const extension = vscode.extensions.getExtension("act.act-vscode");
  assert.ok(extension);
  await extension.activate();
});

export const run = runAll;
