import assert from "node:assert/strict";
import * as vscode from "vscode";
import { runAll, test } from "./harness.js";
import { services } from "./services.js";

/** Runs in a workspace that is not trusted and whose own settings try to name a model, a download source and a head set. */
test("the workspace is in Restricted Mode", () => assert.equal(vscode.workspace.isTrusted, false));

test("its model path, download source and head set have no effect", async () => {
  const { settings, engine, headSet } = await services();
  await headSet.ready();
  const values = ["model.path", "model.downloadSource", "headSet"] as const;
  for (const name of values) {
    assert.match(
      String(vscode.workspace.getConfiguration("act").inspect(name)?.workspaceValue),
      /hostile/,
      `${name} is set by the workspace`,
    );
    assert.doesNotMatch(settings.get(name), /hostile/, name);
  }
  assert.doesNotMatch(engine.modelPath, /hostile/);
});

test("its other settings have", async () => {
  const { settings } = await services();
  assert.equal(settings.get("completions.maxTokens"), 17);
});

export const run = runAll;
