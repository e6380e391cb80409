import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, afterEach, before, describe, it } from "node:test";
import type { Locator } from "playwright-core";
import { DEFAULT_MODEL, modelPath } from "../../src/store/models.js";
import { temporaryFolder } from "../fixtures/temporary.js";
import { eventually } from "../panels/driver.js";
import { Driver, textOf } from "./driver.js";
import { missing, vsix } from "./vsix.js";

/** A head set that fits the default model: every fourth head of the layers that may be calibrated. */
function headSetFile(): string {
  const heads = Array.from({ length: 27 * 9 }, (_, i) => [2 + Math.floor(i / 9), i % 9]).filter((_, i) => i % 4 === 0);
  const file = join(temporaryFolder("heads"), "heads.json");
  writeFileSync(file, JSON.stringify({ schema: 1, name: "test", model: { layers: 30, heads: 9 }, heads }));
  return file;
}

describe("chat", { skip: missing, concurrency: 1 }, () => {
  let driver: Driver;
  const view = () => driver.frame();
  const turn = (): Locator => view().locator(".turn").last();
  const answer = (): Locator => turn().locator(".answer").last();
  const state = (wanted: string, limit = 90_000) => turn().locator(`.answer[data-state="${wanted}"]`).first().waitFor({ timeout: limit });
  const ask = async (question: string) => {
    await view().locator("textarea.input").fill(question);
    await view().locator('[data-name="send"]').click();
  };

  before(async () => {
    driver = await Driver.open({
      name: "chat",
      vsix: await vsix(),
      files: { "greet.py": 'def greet(name):\n    print("Hello " + name)\n', "notes.md": "# Notes\n" },
      settings: {
        "act.model.path": modelPath(DEFAULT_MODEL),
        "act.model.contextSize": 2048,
        "act.chat.headSet": headSetFile(),
        "act.chat.calibration": "anyway",
        "act.chat.temperature": 0,
        "act.chat.maxTokens": 600,
      },
    });
    await driver.openFile("greet.py");
    await driver.command("ACT: Open Chat");
    await view().locator("textarea.input").waitFor();
  });
  // What was on screen when each test ended, passed or failed.
  afterEach(async (t) => void (await driver?.screenshot(`end of ${t.name.slice(0, 40)}`)));
  after(async () => await driver?.close());

  it("the page allows nothing but its own script and style", async () => {
    const policy = (await view().locator('meta[http-equiv="Content-Security-Policy"]').getAttribute("content")) ?? "";
    assert.match(policy, /^default-src 'none'; script-src 'nonce-[^']+'; style-src [^;]+; img-src [^;]+ blob:; font-src [^;]+$/);
    assert.doesNotMatch(policy, /unsafe|\*(?!\.vscode-cdn|\.)|data:/);
    const ran = await view()
      .locator("body")
      .evaluate((body) => {
        const script = body.ownerDocument.createElement("script");
        script.textContent = "window.smuggled = true";
        body.append(script);
        return "smuggled" in (body.ownerDocument.defaultView ?? {});
      });
    assert.equal(ran, false, "a script without the nonce ran");
  });

  it("an attached file is counted, an answer comes as Markdown", async () => {
    await view().locator('[data-name="attach-open-file"]').click();
    await view().locator("footer .chip", { hasText: "greet.py" }).waitFor();
    await ask("Write a Python function greet(name) that returns the greeting instead. Answer with one code block.");
    await state("done");
    assert.ok((await textOf(answer().locator(".markdown"))).length > 20);
    assert.match(await textOf(answer().locator(".speed")), /\d+ tokens, [\d.]+\/s/);
    await view()
      .locator(".count", { hasText: /\d+ of 2,048 tokens/ })
      .waitFor();
    await driver.screenshot("answered");
    await driver.picture("chat", { x: 0, y: 0, width: 1280, height: 800 });
  });

  it("code goes into the file as a diff that is accepted", async () => {
    const apply = answer().locator('[data-name="apply"]').first();
    await apply.waitFor();
    await apply.click();
    await driver.page.locator(".monaco-diff-editor").first().waitFor();
    await driver.screenshot("diff");
    await driver.page.locator(".editor-actions .action-label", { hasText: "Discard Change" }).waitFor();
    await view().locator('[data-name="change"]', { hasText: "Change to greet.py" }).waitFor();
    await view().locator('[data-name="accept"]').click();
    await driver.page.locator(".monaco-diff-editor").waitFor({ state: "detached" });
    await driver.page.locator('.tab.active[data-resource-name="greet.py"]').waitFor();
    await driver.page.keyboard.press("Control+s");
    await eventually(async () => {
      const file = readFileSync(join(driver.folder, "greet.py"), "utf8");
      assert.notEqual(file, 'def greet(name):\n    print("Hello " + name)\n');
      assert.equal(file.match(/def greet/g)?.length, 1, "the function is replaced, not doubled");
    });
  });

  it("an answer streams, and stop keeps what came", async () => {
    await ask("Write a long story about a mountain.");
    await state("streaming");
    await view().locator('[data-name="stop"]').click();
    await state("stopped");
    await driver.screenshot("stopped");
    assert.match(await textOf(answer().locator(".note")), /Stopped/);
    assert.ok((await textOf(answer().locator(".markdown"))).length > 0);
  });

  it("hidden in the middle of an answer, it has lost nothing when it is shown again", async () => {
    await turn().locator('[data-name="regenerate"]').click();
    await state("streaming");
    const before = (await textOf(answer().locator(".markdown"))).length;
    await driver.page.keyboard.press("Control+Shift+e");
    await driver.page.locator(".explorer-folders-view").waitFor();
    await driver.page.waitForTimeout(2000);
    await driver.command("ACT: Open Chat");
    await state("done");
    assert.ok((await textOf(answer().locator(".markdown"))).length > before);
  });

  it("edit brings the question back and keeps what followed until it is sent; Escape restores", async () => {
    const input = view().locator("textarea.input");
    await input.fill("half a thought");
    const turns = await view().locator(".turn").count();
    await view().locator(".turn").first().locator(".question").hover();
    await view().locator(".turn").first().locator('[data-name="edit"]').click();
    await eventually(async () => assert.match(await input.inputValue(), /^Write a Python function greet/));
    assert.equal(await view().locator(".turn").count(), turns);
    await view()
      .locator(".turn.replaced")
      .nth(turns - 1)
      .waitFor();
    await driver.screenshot("editing");
    await input.press("Escape");
    await eventually(async () => assert.equal(await input.inputValue(), "half a thought"));
    await view().locator(".turn.replaced").first().waitFor({ state: "detached" });
    await turn().locator(".question").hover();
    await turn().locator('[data-name="edit"]').click();
    await eventually(async () => assert.equal(await input.inputValue(), "Write a long story about a mountain."));
    await ask("Name one mountain.");
    // The turn that is replaced is done as well: first the new question, then its answer.
    await eventually(async () => assert.match(await textOf(turn().locator(".question .text")), /Name one mountain/));
    await state("done");
    await eventually(async () => assert.equal(await view().locator(".turn").count(), turns));
    await eventually(async () => assert.equal(await input.inputValue(), "half a thought", "what was being written is back"));
  });

  it("a question asked while answering waits in line, and is asked then", async () => {
    await ask("Write a long story about a river.");
    await state("streaming");
    await ask("Say hi.");
    await view().locator(".queued .question", { hasText: "Say hi." }).waitFor();
    await driver.screenshot("in line");
    await view().locator('[data-name="stop"]').click();
    await turn().locator(".question .text", { hasText: "Say hi." }).waitFor();
    await state("done");
    assert.equal(await view().locator(".queued .question").count(), 0);
  });

  it("# adds a file by its name", async () => {
    const input = view().locator("textarea.input");
    await input.fill("");
    await input.pressSequentially("What is in #not");
    await view().locator(".pick", { hasText: "notes.md" }).first().waitFor();
    await driver.screenshot("picker");
    await input.press("Enter");
    await view().locator("footer .chip", { hasText: "notes.md" }).waitFor();
    assert.equal(await input.inputValue(), "What is in ");
    await view().locator("footer .chip button").click();
    await input.fill("");
  });

  it("conversations are found by what was said, with their date, and renamed", async () => {
    await view().locator('[data-name="rename"]').click();
    const box = driver.page.locator(".quick-input-widget input.input");
    await box.waitFor();
    await box.fill("About greetings");
    await driver.page.keyboard.press("Enter");
    await view().locator(".title-text", { hasText: "About greetings" }).waitFor();
    await view().locator('[data-name="conversation"]').click();
    await box.waitFor();
    await box.fill("mountain python");
    await driver.page.locator(".quick-input-list .monaco-list-row", { hasText: "About greetings" }).waitFor();
    await driver.screenshot("conversations");
    await box.fill("nobody said this");
    await driver.page.locator(".quick-input-list .monaco-list-row", { hasText: "About greetings" }).waitFor({ state: "detached" });
    await driver.page.keyboard.press("Escape");
  });

  it("compare answers twice, with and without the head set, side by side", async () => {
    await view().locator('[data-name="act-mode"]').click();
    await view().locator('[data-name="act-mode"] vscode-option', { hasText: "Compare" }).click();
    await ask("Name three colours.");
    await turn().locator('.answer[data-state="done"]').nth(1).waitFor({ timeout: 120_000 });
    assert.deepEqual(await turn().locator(".answer .label").allInnerTexts(), ["ACT off", "ACT on"]);
    await driver.screenshot("compare");
    await turn().locator('.answer:not(.chosen) [data-name="choose"]').click();
    await turn().locator(".answer.chosen .label", { hasText: "ACT on" }).waitFor();
  });

  it("a compared answer leads to the sinks of its prompt", async () => {
    await turn().locator('.answer.chosen [data-name="sinks"]').click();
    // The panel is one of two pages now, before or behind the chat's.
    const label = (index: number) => driver.frame(index).locator('[data-name="label"]', { hasText: /^Chat prompt.*head set: /s });
    await Promise.any([0, 1].map((index) => label(index).waitFor({ timeout: 60_000 })));
    await Promise.any([0, 1].map((index) => driver.frame(index).locator('[data-name="heads"]').waitFor({ timeout: 60_000 })));
    await driver.screenshot("sinks of a turn");
    await driver.page.locator(".tab.active", { hasText: "Sinks" }).click({ button: "middle" });
    await view().locator("textarea.input").waitFor();
  });

  it("a killed engine is named, comes back with its model, and answers again", async () => {
    await view().locator('[data-name="act-mode"]').click();
    await view().locator('[data-name="act-mode"] vscode-option', { hasText: "ACT off" }).click();
    await ask("Write a long story about a lighthouse.");
    await state("streaming");
    const [pid] = driver.enginePids();
    assert.ok(pid);
    process.kill(pid, "SIGKILL");
    await state("failed");
    assert.match(await textOf(answer().locator(".note")), /engine process was ended by SIGKILL/);
    await driver.screenshot("killed");
    const started = Date.now();
    while (!driver.enginePids().some((one) => one !== pid)) await driver.page.waitForTimeout(20);
    await driver.status(/smol/i).waitFor({ timeout: 60_000 });
    console.log(`engine back with its model after ${Date.now() - started} ms`);
    await turn().locator('[data-name="regenerate"]').click();
    await state("streaming");
    await view().locator('[data-name="stop"]').click();
    await state("stopped");
  });

  it("the editor asks about the code at the cursor, by its keys", async () => {
    await driver.openFile("greet.py");
    await driver.page.locator(".editor-instance .view-lines").first().click();
    await driver.page.keyboard.press("Control+Alt+h");
    await driver.page.keyboard.press("e");
    await turn().locator(".question .text", { hasText: "Explain what this code does" }).waitFor();
    await turn().locator(".question .chip", { hasText: "greet.py, lines 1 to" }).waitFor();
    await state("done");
    await driver.screenshot("explain");
  });

  it("a reload finds the conversation again", async () => {
    const turns = await view().locator(".turn").count();
    await driver.page.waitForTimeout(2000);
    await driver.load();
    await driver.command("ACT: Open Chat");
    await view()
      .locator(".turn")
      .nth(turns - 1)
      .waitFor();
    await driver.screenshot("reloaded");
  });
});
