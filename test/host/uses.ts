import assert from "node:assert/strict";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as vscode from "vscode";
import { migrateSettings } from "../../src/host/calibration/migrate.js";
import type { Use } from "../../src/protocol/calibration.js";
import { test, until } from "./harness.js";
import { services, withSetting } from "./services.js";

const folder = mkdtempSync(join(tmpdir(), "act-uses-"));
let written = 0;

/** A head set that helps its use, changed as the test wants. */
function setFile(change: object = {}): string {
  const evidence = {
    task: "sst2",
    seed: 1,
    chosenOn: 80,
    confirmedOn: 300,
    baseline: 0.6,
    calibrated: 0.7,
    difference: 0.1,
    interval: [0.05, 0.15],
    p: 0.001,
  };
  const set = { schema: 2, use: "task", name: "proven", model: { layers: 30, heads: 9 }, heads: [[4, 7]], on: true, evidence };
  const file = join(folder, `${++written}.json`);
  writeFileSync(file, JSON.stringify({ ...set, ...change }));
  return file;
}

/** With a set chosen for a use, by settings alone. */
async function chosen(use: Use, file: string, body: () => Promise<void>): Promise<void> {
  const { sets } = await services();
  const before = sets.for(use).current;
  await withSetting(`${use}.headSet`, file, async () => {
    await until("the file was read", async () => {
      await sets.for(use).ready();
      return sets.for(use).current !== before || sets.for(use).unavailable(null) !== null;
    });
    await body();
  });
}

test("a set is applied to the use that it was measured on, and to no other", async () => {
  const { sets } = await services();
  const file = setFile();
  await chosen("task", file, async () => {
    await until("applied to task prompts", () => sets.for("task").calibration(null) !== null);
    assert.equal(sets.for("completions").calibration(null), null);
    assert.equal(sets.for("chat").calibration(null), null);
  });
  for (const use of ["completions", "chat"] as const)
    await chosen(use, file, async () => {
      await until("read", () => sets.for(use).current);
      assert.equal(sets.for(use).calibration(null), null, use);
      assert.match(sets.for(use).unavailable(null) ?? "", /Nothing was measured .* It was measured on sst2/);
    });
});

test("without sure gain or evidence a set stays off, whatever its file says; “anyway” applies it and shows", async () => {
  const { sets } = await services();
  const task = sets.for("task");
  for (const change of [{ evidence: undefined }, { on: false }, { heads: [] }])
    await chosen("task", setFile(change), async () => {
      await until("read", () => task.current);
      assert.equal(task.calibration(null), null);
      await withSetting("task.calibration", "anyway", async () => {
        await until("applied", () => task.calibration(null) !== null);
        assert.equal(task.anyway, true);
      });
      assert.equal(task.calibration(null), null);
    });
});

test("switched off means off", async () => {
  const { sets } = await services();
  await chosen("task", setFile(), () =>
    withSetting("task.calibration", "off", async () => {
      await until("off", () => sets.for("task").calibration(null) === null);
      assert.match(sets.for("task").unavailable(null) ?? "", /switched off for task prompts/);
      assert.ok(sets.for("task").preview(null), "it can still be looked at");
    }),
  );
});

test("a damaged set is refused as everywhere: beta out of range, heads twice, heads that the model has not", async () => {
  const { sets } = await services();
  const wrong: [object, RegExp][] = [
    [{ beta: 2.5 }, /beta must be between 0 and 2/],
    [{ heads: [[4, 7], [4, 7]] }, /layer 4, head 7 twice/], // biome-ignore format: heads are pairs
    [{ heads: [[40, 7]] }, /layer 40, head 7/],
    [{ schema: 9 }, /schema 9/],
  ];
  for (const [change, says] of wrong)
    await chosen("task", setFile(change), async () => {
      await until("refused", () => says.test(sets.for("task").unavailable(null) ?? ""));
      assert.equal(sets.for("task").calibration(null), null);
    });
});

test("a set for another file of the same shape is applied with a warning", async () => {
  const { sets, engine } = await services();
  const model = await engine.model();
  const { layers, heads } = model;
  await chosen("task", setFile({ model: { name: "Other", sha256: "0".repeat(64), layers, heads } }), async () => {
    await until("applied", () => sets.for("task").calibration(model) !== null);
    assert.match(sets.for("task").warning(model) ?? "", /made for Other/);
  });
}, 120_000);

test("a choice for this workspace goes before the user's", async () => {
  const { sets } = await services();
  const mine = setFile({ name: "mine" });
  await chosen("task", setFile({ name: "user" }), async () => {
    await sets.choose("task", { file: mine, mode: "on" }, "workspace");
    assert.equal(sets.for("task").current?.name, "mine");
    assert.equal(sets.for("task").choice().scope, "workspace");
    await sets.choose("task", null, "workspace");
    assert.equal(sets.for("task").current?.name, "user");
  });
});

test("the old settings are moved: the set is kept for task prompts, and nothing else is switched on by it", async () => {
  const { sets, log } = await services();
  const configuration = () => vscode.workspace.getConfiguration("act");
  const { Global } = vscode.ConfigurationTarget;
  const file = setFile({ schema: 1, use: undefined });
  await configuration().update("headSet", file, Global);
  try {
    await migrateSettings(log);
    assert.equal(configuration().inspect("headSet")?.globalValue, undefined);
    assert.equal(configuration().get("task.headSet"), file);
    await until("task prompts have it", () => sets.for("task").calibration(null) !== null);
    for (const use of ["completions", "chat"] as const) {
      assert.equal(configuration().get(`${use}.headSet`), "");
      assert.equal(sets.for(use).calibration(null), null);
    }
    await configuration().update("calibration", false, Global);
    await migrateSettings(log);
    for (const use of ["completions", "chat", "task"]) assert.equal(configuration().get(`${use}.calibration`), "off");
    assert.equal(configuration().inspect("calibration")?.globalValue, undefined);
  } finally {
    for (const name of ["task.headSet", "completions.calibration", "chat.calibration", "task.calibration"])
      await configuration().update(name, undefined, Global);
  }
});
