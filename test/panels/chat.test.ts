import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { Page } from "playwright-core";
import { axe } from "./axe.js";
import { type Bed, missing, openBed, THEMES } from "./bed.js";
import { drawn, eventually, overhang } from "./driver.js";

describe("the chat view from its fixtures", { skip: missing, concurrency: 1 }, () => {
  let bed: Bed;
  before(async () => {
    bed = await openBed();
  });
  after(async () => await bed?.close());

  for (const theme of THEMES) {
    it(`shows a conversation in ${theme}, without an accessibility fault`, async () => {
      const page = await bed.open("chat", { theme, case: "talk", width: 460, height: 900 });
      // The conversation comes from the host, all of it at once.
      await eventually(async () => assert.equal(await page.locator(".turn").count(), 2));
      assert.equal(await page.locator(".answers.pair .answer").count(), 2);
      assert.match((await page.locator(".left-out").last().textContent()) ?? "", /first turn was left out/);
      assert.match((await page.locator(".count").textContent()) ?? "", /2,210 of 8,192 tokens: the oldest turn will be left out/);
      await bed.screenshot(page, `chat-${theme}`);
      assert.deepEqual(await axe(page.locator("body")), []);
      await page.close();
    });
  }

  it("is cut off nowhere, in a side bar as narrow as it gets", async () => {
    for (const one of ["talk", "hostile", "empty"]) {
      const page = await bed.open("chat", { case: one, width: 240 });
      await drawn(page);
      assert.ok((await overhang(page)) <= 0, one);
      await page.close();
    }
  });

  it("shows hostile Markdown without running, loading or covering anything", async () => {
    const page = await bed.open("chat", { case: "hostile" });
    const asked: string[] = [];
    page.on("request", (request) => asked.push(request.url()));
    await page.reload(); // once more, listened to from the start
    const answer = page.locator(".answer .markdown");
    await answer.locator("a", { hasText: "good" }).waitFor();
    assert.equal(await page.evaluate("window.smuggled"), undefined);
    for (const tag of ["script", "img", "iframe", "style", "form", "input", "svg", "object"])
      assert.equal(await answer.locator(tag).count(), 0, tag);
    const links = await answer.locator("a").evaluateAll((all) => all.map((a) => a.getAttribute("href")));
    assert.ok(links.includes("https://example.org/page"));
    for (const link of links) assert.match(link ?? "", /^https?:\/\//);
    assert.equal(await answer.locator("[style], [onerror], [onload], .problem").count(), 0);
    assert.match((await answer.textContent()) ?? "", /<script>window\.smuggled = "script"<\/script>/, "HTML is shown as text");
    assert.match((await page.locator(".question .text").textContent()) ?? "", /<b>bold\?<\/b>/);
    assert.deepEqual(
      asked.filter((url) => !url.startsWith("http://127.0.0.1")),
      [],
    );
    await page.close();
  });

  it("shows fences inside a fence, and goes on behind Markdown that no parser takes", async () => {
    const page = await bed.open("chat", { case: "nested" });
    const blocks = page.locator(".turn").first().locator(".answer .markdown .block");
    await page.locator(".turn").nth(1).locator(".markdown", { hasText: "still here" }).waitFor();
    const code = blocks.locator("pre code");
    assert.equal(await code.first().textContent(), "# Doc\n\n```js\na();\n```\n\nmore");
    assert.equal(await code.count(), 2);
    assert.equal(await blocks.locator("strong", { hasText: "after" }).count(), 1);
    assert.equal(await blocks.locator("em", { hasText: "end" }).count(), 1);
    assert.equal((await blocks.locator(".plain").first().textContent())?.length, 2000);
    await page.close();
  });

  it("keeps what has streamed in: the elements of earlier blocks stay", async () => {
    const page = await bed.open("chat", { case: "streaming" });
    await page.locator(".answer .block").first().waitFor();
    await page.evaluate(`document.querySelector(".answer .block").dataset.mark = "first"`);
    const grown = (text: string) => `window.fixture.push({
      type: "snapshot", model: "m", status: "chat", problem: null, actUnavailable: null, count: null, change: null,
      conversations: [{ id: "c", title: "t", updated: 0 }],
      conversation: { schema: 1, id: "c", title: "t", created: 0, updated: 0, act: "off", draft: "", attachments: [], queue: [], editing: null, turns: [
        { id: "1", question: "Tell me", attachments: [], chosen: 0, leftOut: 0, answers: [{ act: false, text: ${JSON.stringify(text)}, state: "streaming" }] }] } })`;
    await page.evaluate(grown("Once upon\n\nthere"));
    await page.evaluate(grown("Once upon\n\nthere was"));
    await page.locator(".answer .block", { hasText: "there was" }).waitFor();
    assert.equal(await page.locator('.answer .block[data-mark="first"]').count(), 1);
    await page.close();
  });

  const messages = async (page: Page) => (await page.evaluate("window.fixture.sent")) as ({ type: string } & Record<string, unknown>)[];

  it("sends, and keeps no content of its own", async () => {
    const page = await bed.open("chat", { case: "empty" });
    const input = page.locator("textarea.input");
    await eventually(async () => assert.equal(await input.inputValue(), "and now?", "the draft comes from the host"));
    await input.fill("question");
    await input.press("Enter");
    await eventually(async () => assert.ok((await messages(page)).some((m) => m.type === "send" && m.text === "question")));
    const kept = (await page.evaluate("JSON.stringify(sessionStorage)")) as string;
    assert.doesNotMatch(kept, /question|now\?/);
    await page.close();
  });

  it("# offers what can be added, by keyboard; the question goes on where it was", async () => {
    const page = await bed.open("chat", { case: "empty" });
    const input = page.locator("textarea.input");
    await input.fill("look at ");
    await input.press("End");
    await input.pressSequentially("#it");
    const options = page.locator(".pick");
    await options.first().waitFor();
    await bed.screenshot(page, "chat-picker");
    assert.deepEqual(await axe(page.locator("body")), []);
    assert.equal(await page.locator('.pick[aria-selected="true"] .pick-label').textContent(), "src/items.py");
    await input.press("Enter");
    assert.equal(await input.inputValue(), "look at ");
    await eventually(async () => assert.ok((await messages(page)).some((m) => m.type === "pick" && m.item === "f1")));
    await input.pressSequentially("#");
    await options.nth(3).waitFor();
    await input.press("ArrowDown");
    await input.press("ArrowDown");
    assert.equal(await page.locator('.pick[aria-selected="true"] .pick-label').textContent(), "src/interest.py");
    await input.press("Escape");
    await page.locator(".picker").waitFor({ state: "hidden" });
    assert.equal(await input.inputValue(), "look at #", "Escape leaves the text");
    assert.ok(!(await messages(page)).some((m) => m.type === "send"));
    await page.close();
  });

  it("a question asked while answering waits in line, and a change waits to be accepted", async () => {
    const page = await bed.open("chat", { case: "waiting", width: 420 });
    const input = page.locator("textarea.input");
    assert.equal(await page.locator(".queued .question").count(), 2);
    assert.match((await page.locator(".queue").textContent()) ?? "", /Next, when this answer has ended/);
    await bed.screenshot(page, "chat-waiting");
    assert.deepEqual(await axe(page.locator("body")), []);
    await input.fill("one more");
    await input.press("Enter");
    await page.locator('[data-name="unqueue"]').first().click();
    await page.locator('[data-name="accept"]').click();
    await page.locator('[data-name="discard"]').click();
    await input.press("Escape");
    await eventually(async () => {
      const types = (await messages(page)).map(({ type }) => type);
      for (const type of ["send", "unqueue", "accept", "discard", "stop"]) assert.ok(types.includes(type), type);
    });
    await page.close();
  });

  it("an edit shows what it would replace; Escape gives it up; the last turn alone can be retried", async () => {
    const page = await bed.open("chat", { case: "editing", width: 420 });
    assert.equal(await page.locator(".turn.replaced").count(), 2);
    await bed.screenshot(page, "chat-editing");
    assert.deepEqual(await axe(page.locator("body")), []);
    assert.deepEqual(
      await page.locator(".turn-actions").evaluateAll((all) => all.map((one) => (one as unknown as { hidden: boolean }).hidden)),
      [true, true, false],
    );
    await page.locator("textarea.input").press("Escape");
    await eventually(async () => assert.ok((await messages(page)).some((m) => m.type === "cancel-edit")));
    await page.close();
  });

  it("the input box grows with its text, and a copy says that it has copied", async () => {
    const page = await bed.open("chat", { case: "talk", width: 420 });
    const input = page.locator("textarea.input");
    const height = async () => (await input.boundingBox())?.height ?? 0;
    const low = await height();
    await input.fill("one\ntwo\nthree\nfour");
    assert.ok((await height()) > low + 30, `${low}`);
    await input.fill("line\n".repeat(200));
    assert.ok((await height()) < 320);
    await page.locator('[data-name="copy-code"]').first().click();
    await page.locator('[data-name="copy-code"]', { hasText: "Copied" }).waitFor();
    await eventually(async () => assert.equal(await page.locator('[data-name="copy-code"]', { hasText: "Copied" }).count(), 0));
    await page.close();
  });
});
