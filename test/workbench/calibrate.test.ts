import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { after, afterEach, before, describe, it } from "node:test";
import * as v from "valibot";
import { HeadSetSchema } from "../../src/protocol/calibration.js";
import { DEFAULT_MODEL, modelPath } from "../../src/store/models.js";
import { axe } from "../panels/axe.js";
import { Driver, textOf } from "./driver.js";
import { sources } from "./sources.js";
import { missing, vsix } from "./vsix.js";

const VERDICT = /^(It helps on|It harms|It is not known to help|No set of heads|On .* but the search left it off)/;
/** A head set for the default model whose evidence says that it helps a task. */
const PROVEN = {
  schema: 2,
  use: "task",
  name: "proven",
  model: { layers: 30, heads: 9 },
  heads: [
    [4, 7],
    [5, 0],
  ],
  on: true,
  evidence: {
    task: "sst2",
    seed: 42,
    chosenOn: 80,
    confirmedOn: 300,
    baseline: 0.6,
    calibrated: 0.7,
    difference: 0.1,
    interval: [0.05, 0.15],
    p: 0.001,
  },
};

describe("calibrate in the workbench", { skip: missing, concurrency: 1 }, () => {
  let driver: Driver;
  const view = () => driver.frame();
  const named = (name: string) => view().locator(`[data-name="${name}"]`);
  const verdict = () => textOf(named("verdict"));
  const done = () => named("facts").filter({ hasText: /[1-9][\d,]* forward passes/ });
  const passes = async () => Number(/([\d,]+) forward passes/.exec(await textOf(named("facts")))?.[1]?.replaceAll(",", "") ?? 0);
  const show = () => driver.page.locator(".tab", { hasText: "Calibrate Heads" }).first().click();
  const setBudget = async (minutes: string) => {
    await named("budget").locator("input").fill(minutes);
    await named("budget").locator("input").press("Tab");
  };

  const imported = async (file: string, content: string, says: RegExp) => {
    writeFileSync(join(driver.folder, file), content);
    await named("import").click();
    await driver.acceptFile(join(driver.folder, file));
    await named("notice").filter({ hasText: says }).waitFor({ timeout: 10_000 });
  };
  /** What the panel says about a use: on, off, on trial. */
  const inForce = (use: string) => view().locator(".in-force dt", { hasText: use }).locator(".state");
  const state = (use: string) => textOf(inForce(use));
  const eventuallyState = (use: string, wanted: string) => inForce(use).filter({ hasText: wanted }).waitFor({ timeout: 20_000 });

  before(async () => {
    driver = await Driver.open({
      name: "calibrate",
      vsix: await vsix(),
      files: sources(),
      settings: { "act.model.path": modelPath(DEFAULT_MODEL), "act.model.contextSize": 2048 },
    });
    execFileSync("git", ["-C", driver.folder, "init", "-q"]);
    execFileSync("git", ["-C", driver.folder, "add", "-A"]);
    await driver.command("ACT: Calibrate Heads");
    await named("start").waitFor({ timeout: 60_000 });
  });
  afterEach(async (t) => void (await driver?.screenshot(`end of ${t.name.slice(0, 40)}`)));
  after(async () => await driver?.close());

  it("starts on the workspace and tells how far it is", async () => {
    await setBudget("1");
    await named("start").click();
    await done().waitFor({ timeout: 120_000 });
    assert.match(await verdict(), /^Searching on the files of workspace\. Ghost texts keep coming/);
    assert.match(await textOf(named("facts")), /on the files of workspace/);
  });

  it("ghost texts appear while it runs", async () => {
    await driver.openFile("greet.py");
    await driver.toEnd();
    await driver.page.keyboard.type("def ask(name):\n    ");
    await driver.ghostText().first().waitFor({ timeout: 60_000 });
    await driver.screenshot("ghost text while searching");
    await driver.page.keyboard.press("Escape");
    await show();
    await named("cancel").waitFor({ timeout: 20_000 });
  });

  it("a panel that was hidden shows the search as it stands", async () => {
    await done().waitFor({ timeout: 20_000 });
    assert.ok((await passes()) > 0);
  });

  it("is cancelled at once, and goes on from what it measured", async () => {
    const before = await passes();
    await named("cancel").click();
    await named("verdict")
      .filter({ hasText: /^Cancelled\./ })
      .waitFor({ timeout: 10_000 });
    await named("resume").click();
    await named("cancel").waitFor({ timeout: 30_000 });
    await done().waitFor({ timeout: 60_000 });
    assert.ok((await passes()) >= before);
  });

  it("a killed engine is named, and the search goes on with the new one", async () => {
    const [pid] = driver.enginePids();
    assert.ok(pid);
    process.kill(pid, "SIGKILL");
    await named("verdict")
      .filter({ hasText: /ended by SIGKILL.*What was measured is kept/ })
      .waitFor({ timeout: 20_000 });
    await driver.screenshot("killed");
    await named("resume").click();
    // Not before the model is there again: what fits it is judged below.
    await named("verdict")
      .filter({ hasText: /^Searching on/ })
      .waitFor({ timeout: 120_000 });
  });

  it("a damaged head set is refused on import, one of another model is kept but cannot be switched on", async () => {
    await imported("damaged.json", '{"schema": 1, "heads": [[2, 0', /damaged\.json/);
    assert.equal(await named("head-set").count(), 0);
    const other = { schema: 1, name: "llama", model: { layers: 32, heads: 32 }, heads: [[3, 4]] };
    await imported("other.json", JSON.stringify(other), /other\.json was imported, but it cannot be switched on: .*32/);
    await driver.screenshot("imported");
    await named("head-set").locator('[data-name="remove"]').click();
    await driver.page.locator(".monaco-dialog-box .monaco-button", { hasText: "Remove" }).first().click();
    await named("head-set").waitFor({ state: "detached", timeout: 10_000 });
  });

  it("after a window reload the search can go on, to its verdict", async () => {
    await driver.load();
    await named("resume").waitFor({ timeout: 60_000 });
    await named("resume").click();
    await named("verdict").filter({ hasText: VERDICT }).waitFor({ timeout: 900_000 });
    await driver.screenshot("verdict");
  });

  it("a head set that was found is in the history with its evidence, on only where it helps, and for completions alone", async () => {
    const said = await verdict();
    const sets = named("head-set");
    // An empty set is not kept.
    assert.equal(await sets.count(), /^No set of heads/.test(said) ? 0 : 1);
    assert.equal(await state("Completions"), /^It helps on/.test(said) ? "on" : "off");
    assert.deepEqual([await state("Chat"), await state("Task prompts")], ["off", "off"]);
    assert.deepEqual(await axe(view().locator("body")), []);
  });

  it("a set that was measured on a task is offered for task prompts, and switched on for nothing else", async () => {
    await imported("proven.json", JSON.stringify(PROVEN), /proven\.json was imported\. It is off until you switch it on\./);
    const set = named("head-set").filter({ hasText: "proven" });
    assert.equal(await state("Task prompts"), "off");
    const completions = await state("Completions");
    await set.locator('[data-name="switch"]').click();
    await eventuallyState("Task prompts", "on");
    assert.deepEqual([await state("Completions"), await state("Chat")], [completions, "off"]);
    await driver.screenshot("on for task prompts");
  });

  it("a set without evidence has no switch; it is tried after a question that says what is known, and the status bar shows it", async () => {
    const { evidence: _, ...unproven } = PROVEN;
    await imported("unproven.json", JSON.stringify({ ...unproven, name: "unproven", use: "chat" }), /unproven\.json was imported/);
    const set = named("head-set").filter({ hasText: "unproven" });
    assert.equal(await set.locator('[data-name="switch"]').isVisible(), false);
    const ask = async (answer: string) => {
      await set.locator('[data-name="anyway"]').click();
      const dialog = driver.page.locator(".monaco-dialog-box");
      await dialog.filter({ hasText: /Nothing was measured about what this set does to chat/ }).waitFor();
      await dialog.locator(".monaco-button", { hasText: answer }).first().click();
      await dialog.waitFor({ state: "detached" });
    };
    await ask("Cancel");
    assert.equal(await state("Chat"), "off");
    await ask("Try It Anyway");
    await eventuallyState("Chat", "on trial");
    await driver.page
      .locator(".statusbar-item", { has: driver.page.locator(".codicon-beaker") })
      .first()
      .waitFor();
    await driver.screenshot("on trial");
  });

  it("is exported as a head-set file that others can read", async () => {
    await named("head-set").filter({ hasText: "unproven" }).locator('[data-name="export"]').click();
    await driver.acceptFile(join(driver.folder, "exported.json"));
    await named("notice").filter({ hasText: "Written to exported.json" }).waitFor({ timeout: 10_000 });
    const set = v.parse(HeadSetSchema, JSON.parse(readFileSync(join(driver.folder, "exported.json"), "utf8")));
    assert.deepEqual([set.model.layers, set.model.heads], [30, 9]);
    assert.equal(set.use, "chat");
    assert.ok(!readdirSync(driver.folder).some((name) => name.endsWith(".tmp")));
  });

  it("a folder with too little in it is told so, and there is nothing to go on with", async () => {
    const other = await driver.another("short", { "one.py": "print(1)\n" });
    await other.command("ACT: Calibrate Heads");
    const page = other.frame();
    await page.locator('[data-name="start"]').click();
    await page
      .locator('[data-name="verdict"]')
      .filter({ hasText: /give no item to complete: they are too short/ })
      .waitFor();
    assert.equal(await page.locator('[data-name="resume"]').isVisible(), false);
  });
});
