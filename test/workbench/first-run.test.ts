import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, describe, it } from "node:test";
import { DEFAULT_MODEL, modelPath } from "../../src/store/models.js";
import { eventually } from "../panels/driver.js";
import { Driver, textOf } from "./driver.js";
import { type ModelServer, serveModel } from "./model-server.js";
import { missing, vsix } from "./vsix.js";

/** From a fresh installation to a suggestion taken word by word, the model downloaded on the way. */
describe("first run", { skip: missing, concurrency: 1 }, () => {
  let driver: Driver;
  let server: ModelServer;
  /** Of its own, so that the model has to be downloaded. */
  const cache = mkdtempSync(join(tmpdir(), "act-cache-"));
  const sha256 = DEFAULT_MODEL.sha256 ?? "";

  before(async () => {
    server = await serveModel(modelPath(DEFAULT_MODEL), sha256, { cutAt: 20e6, bytesPerSecond: 15e6 });
    driver = await Driver.open({
      name: "first-run",
      vsix: await vsix(),
      files: {
        "shapes.py": "import math\n\n\ndef area_of_circle(radius):\n    return math.pi * radius ** 2\n\n\ndef area_of_square(side):\n",
      },
      settings: { "act.model.downloadSource": server.url, "act.model.contextSize": 2048 },
      env: { ACT_CACHE: cache },
    });
  });
  // What was on screen when each test ended, passed or failed.
  afterEach(async (t) => void (await driver?.screenshot(`end of ${t.name.slice(0, 40)}`)));
  after(async () => {
    await driver?.close();
    await server?.close();
    rmSync(cache, { recursive: true, force: true });
  });

  it("the status bar says that no model is chosen", async () => {
    await driver.status(/choose a model/).waitFor();
  });

  it("the walkthrough has its three steps", async () => {
    await driver.command("ACT: Get Started");
    const step = driver.page.locator(".getting-started-step", { hasText: "Choose a model" }).first();
    await step.waitFor();
    for (const title of ["Choose a model", "See a suggestion", "Calibrate the model's heads"])
      assert.ok(await driver.page.locator(".getting-started-step", { hasText: title }).first().isVisible(), title);
    await driver.screenshot("walkthrough");
  });

  it("the chooser shows size, licence and fit, and downloads on request", async () => {
    await driver.status().click();
    await driver.page.mouse.move(640, 600);
    await driver.choose("Choose Model");
    const row = driver.page.locator(".quick-input-list .monaco-list-row", { hasText: DEFAULT_MODEL.title }).first();
    await row.waitFor();
    const text = await textOf(row);
    assert.match(text, /98 MB/);
    assert.match(text, /Apache-2\.0/);
    assert.match(text, /Fits/);
    await driver.screenshot("chooser");
    await driver.picture("walkthrough-model", { x: 340, y: 4, width: 602, height: 274 });
    await driver.choose(DEFAULT_MODEL.title);
    await driver.notification(/Downloading SmolLM2/).waitFor();
  });

  it("a cut connection is taken up again; pause keeps what has arrived, resume goes on", async () => {
    await driver.notification(/[1-9]\d* MB of 98 MB/).waitFor();
    await driver.screenshot("downloading");
    while (server.ranges.length < 2) await driver.page.waitForTimeout(100);
    assert.match(server.ranges[1] ?? "", /^bytes=\d{7,}-/, "went on where the connection broke");
    await driver.notification(/[3-9]\d MB of 98 MB/).waitFor();
    const toast = driver.notification(/Downloading SmolLM2/);
    await driver.press(toast, "Cancel");
    const paused = driver.notification(/paused at \d+ %/);
    await paused.waitFor();
    await driver.screenshot("paused");
    await driver.press(paused, "Resume");
    while (server.ranges.length < 3) await driver.page.waitForTimeout(100);
    const from = Number(/\d+/.exec(server.ranges[2] ?? "")?.[0] ?? 0);
    assert.ok(from > 25e6, `went on at ${from}`);
    await driver.status(/smol/i).waitFor({ timeout: 60_000 });
    await driver.screenshot("model-ready");
  });

  it("a suggestion appears while typing", async () => {
    await driver.openFile("shapes.py");
    await driver.toEnd();
    await driver.page.keyboard.type("    return ", { delay: 60 });
    await driver.ghostText().first().waitFor();
    await driver.screenshot("ghost-text");
    await driver.picture("walkthrough-ghost-text", { x: 352, y: 36, width: 480, height: 230 });
  });

  it("one word is taken by the editor's own command, the rest by Tab", async () => {
    const before = await driver.editorText();
    const typed = before.split("\n").findLast((line) => line.trimStart().startsWith("return")) ?? "";
    await driver.page.keyboard.press("Control+ArrowRight");
    await driver.page.waitForTimeout(500);
    assert.ok(await driver.ghostText().first().isVisible(), "the rest is still offered");
    await driver.screenshot("one-word");
    await driver.page.keyboard.press("Tab");
    await driver.ghostText().first().waitFor({ state: "hidden" });
    const after = (await driver.editorText()).split("\n").findLast((line) => line.trimStart().startsWith("return")) ?? "";
    assert.ok(after.length >= typed.trimEnd().length && /return \S+/.test(after), `${typed} -> ${after}`);
  });

  it("the record says what happened", async () => {
    await driver.command("ACT: Why Did Nothing Appear?");
    await driver.page.locator('.tab.active[data-resource-name*="Why did nothing"]').waitFor();
    await eventually(async () => assert.match(await driver.editorText(), /shown/));
    await driver.screenshot("record");
  });
});
