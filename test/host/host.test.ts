import { resolve } from "node:path";
import { before, describe, it } from "node:test";
import { findBrowser } from "../../src/build/workbench.js";
import { DEFAULT_MODEL, modelPath } from "../../src/store/models.js";
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

describe("in the extension host", { skip: missing }, () => {
  before(() => process.chdir(resolve(".")));
  it("the suite", async (t) => {
    await report(t, await runHostSuite({ settings: { "act.model.path": modelPath(DEFAULT_MODEL), "act.model.contextSize": 2048 } }));
  });
});
