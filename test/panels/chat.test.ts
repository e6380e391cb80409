import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
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
      type: "snapshot", model: "m", status: "chat", problem: null, actUnavailable: null, count: null,
      conversations: [{ id: "c", title: "t", updated: 0 }],
      conversation: { schema: 1, id: "c", title: "t", created: 0, updated: 0, act: "off", draft: "", attachments: [], turns: [
        { id: "1", question: "Tell me", attachments: [], chosen: 0, leftOut: 0, answers: [{ act: false, text: ${JSON.stringify(text)}, state: "streaming" }] }] } })`;
    await page.evaluate(grown("Once upon\n\nthere"));
    await page.evaluate(grown("Once upon\n\nthere was"));
    await page.locator(".answer .block", { hasText: "there was" }).waitFor();
    assert.equal(await page.locator('.answer .block[data-mark="first"]').count(), 1);
    await page.close();
  });

  it("sends, stops by Escape, attaches by #file, and keeps no content of its own", async () => {
    const page = await bed.open("chat", { case: "empty" });
    const input = page.locator("textarea.input");
    await eventually(async () => assert.equal(await input.inputValue(), "and now?", "the draft comes from the host"));
    await input.fill("look at #file ");
    await input.fill("question");
    await input.press("Enter");
    await eventually(async () => {
      const sent = (await page.evaluate("window.fixture.sent")) as { type: string; kind?: string; text?: string }[];
      assert.ok(sent.some((m) => m.type === "attach" && m.kind === "file"));
      assert.ok(sent.some((m) => m.type === "send" && m.text === "question"));
    });
    const kept = (await page.evaluate("JSON.stringify(sessionStorage)")) as string;
    assert.doesNotMatch(kept, /question|now\?/);
    await page.close();
  });
});
