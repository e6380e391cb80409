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
    await named("cancel").waitFor({ timeout: 60_000 });
  });

  it("a damaged head set is refused on import, one of another model is kept but cannot be switched on", async () => {
    const imported = async (file: string, content: string, says: RegExp) => {
      writeFileSync(join(driver.folder, file), content);
      await named("import").click();
      await driver.acceptFile(join(driver.folder, file));
      await named("notice").filter({ hasText: says }).waitFor({ timeout: 10_000 });
    };
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
    await named("verdict")
      .filter({ hasText: /untouched prompts|validation prompts/ })
      .waitFor({ timeout: 900_000 });
    const said = await verdict();
    assert.match(said, /helps here|does not help this model here/);
    if (!/validation prompts/.test(said)) assert.match(said, /95 % interval .* to .*, \d+ untouched prompts/);
    await driver.screenshot("verdict");
  });

  it("the head set is in the history with its evidence, on only where it helps", async () => {
    const helps = /helps here:/.test(await verdict());
    const sets = named("head-set");
    assert.equal(await sets.count(), 1);
    const on = await sets.locator('[data-name="switch"]').evaluate((box) => (box as unknown as { checked: boolean }).checked);
    assert.equal(on, helps);
    assert.match(await textOf(view().locator(".evidence")), /Measured on .*confirmed on n = \d+|there was nothing to confirm/);
    assert.deepEqual(await axe(view().locator("body")), []);
  });

  it("is exported as a head-set file that others can read", async () => {
    await named("head-set").locator('[data-name="export"]').click();
    await driver.acceptFile(join(driver.folder, "exported.json"));
    await named("notice").filter({ hasText: "Written to exported.json" }).waitFor({ timeout: 10_000 });
    const set = v.parse(HeadSetSchema, JSON.parse(readFileSync(join(driver.folder, "exported.json"), "utf8")));
    assert.deepEqual([set.model.layers, set.model.heads], [30, 9]);
    assert.ok(set.evidence);
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
