import assert from "node:assert/strict";
import * as vscode from "vscode";
import { test } from "./harness.js";
import { services } from "./services.js";

test("@act answers in VS Code's own chat", async () => {
  const { engine } = await services();
  await engine.model();
  const [model] = await vscode.lm.selectChatModels({ vendor: "act" });
  assert.ok(model);
  const result = await vscode.commands.executeCommand<{ errorDetails?: { message: string }; metadata?: { tokens?: number } } | undefined>(
    "workbench.action.chat.open",
    { query: "@act say hello", mode: "ask", modelSelector: { vendor: "act", id: model.id }, blockOnResponse: true },
  );
  assert.equal(result?.errorDetails, undefined, result?.errorDetails?.message);
}, 90_000);
