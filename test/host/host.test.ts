import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { findBrowser } from "../../scripts/fetch/workbench.js";
import { DEFAULT_MODEL, modelPath } from "../../src/store/models.js";
import { temporaryFolder } from "../fixtures/temporary.js";
import type { HostResults } from "./harness.js";
import { runHostSuite, useServed } from "./run.js";

/** The suites that run inside a real extension host, each result reported here by its name. */
const missing = useServed() && !findBrowser() ? "no Chromium: install one, or set ACT_CHROMIUM" : false;

async function report(t: { test(name: string, body: () => void): Promise<void> }, results: HostResults): Promise<void> {
  for (const { name, error, ms } of results.results) {
    await t.test(`${name} (${ms} ms there)`, () => {
      if (error) throw new Error(error);
    });
  }
}

const model = { "act.model.path": modelPath(DEFAULT_MODEL), "act.model.contextSize": 2048 };

describe("in the extension host", { skip: missing }, () => {
  it("the suite", async (t) => {
    await report(t, await runHostSuite({ settings: { ...model, "chat.disableAIFeatures": false } }));
  });

  it("Restricted Mode", async (t) => {
    const workspace = temporaryFolder("hostile");
    mkdirSync(join(workspace, ".vscode"));
    const hostile = {
      "act.model.path": "/hostile/model.gguf",
      "act.model.downloadSource": "https://hostile.example",
      "act.completions.headSet": "/hostile/heads.json",
      "act.completions.maxTokens": 17,
    };
    writeFileSync(join(workspace, ".vscode/settings.json"), JSON.stringify(hostile));
    const settings = { ...model, "security.workspace.trust.enabled": true, "security.workspace.trust.startupPrompt": "never" };
    await report(t, await runHostSuite({ entry: "test/host/trust-suite.ts", workspace, settings }));
  });

  it("a crash of the extension host fails the run", async () => {
    await assert.rejects(
      runHostSuite({ entry: "test/host/broken/crash.ts", scratch: temporaryFolder("host") }),
      /ended after 1 of 2 tests/,
    );
  });

  it("a run without a test fails", async () => {
    await assert.rejects(runHostSuite({ entry: "test/host/broken/empty.ts", scratch: temporaryFolder("host") }), /no test/);
  });
});
