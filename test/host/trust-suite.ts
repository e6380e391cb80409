import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as vscode from "vscode";
import { runAll, test } from "./harness.js";
import { services, workspaceFolder } from "./services.js";

/** Runs in a workspace that is not trusted and whose own settings try to name a model, a download source and a head set. */
test("the workspace is in Restricted Mode", () => assert.equal(vscode.workspace.isTrusted, false));

test("its model path, download source and head set have no effect", async () => {
  const { settings, engine, sets } = await services();
  await sets.for("completions").ready();
  const written = JSON.parse(readFileSync(join(workspaceFolder(), ".vscode/settings.json"), "utf8")) as Record<string, string>;
  for (const name of ["model.path", "model.downloadSource", "completions.headSet"] as const) {
    assert.match(written[`act.${name}`] ?? "", /hostile/, `the workspace names its ${name}`);
    assert.doesNotMatch(settings.get(name), /hostile/, name);
  }
  assert.doesNotMatch(engine.modelPath, /hostile/);
});

test("its other settings have", async () => {
  const { settings } = await services();
  assert.equal(settings.get("completions.maxTokens"), 17);
});

export const run = runAll;
