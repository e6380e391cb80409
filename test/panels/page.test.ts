// The page that `act sinks --out map.html` and `npm start` write: opened as a file, without a server, under its own content policy.
import assert from "node:assert/strict";
import fs from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { pathToFileURL } from "node:url";
import { build } from "esbuild";
import { type Browser, chromium, type Page } from "playwright-core";
import { findBrowser } from "../../scripts/fetch/workbench.js";
import { meansOf, toHtml, visibleToken } from "../../src/core/sinks/sink-map.js";
import { makeAttention } from "../../webview/fixtures/attention.js";
import { CODE } from "../../webview/fixtures/prompts.js";
import { axe } from "./axe.js";
import { missing } from "./bed.js";

const HOSTILE = "</script><script>window.smuggled = true</script><img src=x onerror='window.smuggled = true'>";
const { map } = makeAttention({ id: "page", tokens: [...CODE, HOSTILE], layers: 30, heads: 9, calibrated: [[3, 0]] });
const HEAD = map.sinks.find(({ positions }) => positions.length >= 2);
assert.ok(HEAD);

/** As the product bundles it. */
async function bundlePage(): Promise<{ script: string; style: string }> {
  const { outputFiles } = await build({
    entryPoints: ["webview/sink-page/main.ts"],
    bundle: true,
    platform: "browser",
    target: "es2022",
    format: "iife",
    minify: true,
    write: false,
    outdir: "out",
  });
  const text = (ending: string) => outputFiles.find(({ path: file }) => file.endsWith(ending))?.text ?? "";
  return { script: text(".js"), style: text(".css") };
}

describe("the sink page as a file", { skip: missing, timeout: 120_000 }, () => {
  let browser: Browser;
  let folder: string;
  const open = async (colorScheme: "light" | "dark"): Promise<Page> => {
    const page = await browser.newPage({ viewport: { width: 1200, height: 900 }, colorScheme });
    await page.goto(pathToFileURL(path.join(folder, "sinks.html")).href);
    return page;
  };

  before(async () => {
    folder = await fs.mkdtemp(path.join(os.tmpdir(), "act-page-"));
    await fs.writeFile(path.join(folder, "sinks.html"), toHtml(map, await bundlePage(), { subtitle: "SmolLM2-135M-Instruct, calibrated" }));
    browser = await chromium.launch({ executablePath: findBrowser() ?? undefined, args: ["--no-sandbox", "--disable-gpu"] });
  });
  after(async () => {
    await browser?.close();
    await fs.rm(folder, { recursive: true, force: true });
  });

  it("a click chooses a head: its sinks are listed with the map's own numbers", async () => {
    const page = await open("light");
    const grid = page.locator("#grid");
    const box = await grid.boundingBox();
    assert.ok(box);
    await grid.click({ position: { x: (box.width * (HEAD.head + 0.5)) / 9, y: (box.height * (HEAD.layer + 0.5)) / 30 } });
    assert.match((await page.locator("#chosen").textContent()) ?? "", new RegExp(`^Layer ${HEAD.layer}, head ${HEAD.head}:`));
    const rows = await page
      .locator("#sinks tr")
      .evaluateAll((all) =>
        all.map((row) => Array.from((row as unknown as { cells: Iterable<{ textContent: string }> }).cells, (cell) => cell.textContent)),
      );
    const means = meansOf(map, HEAD.layer, HEAD.head);
    const keys = [HEAD.exempt as number, ...HEAD.positions];
    assert.deepEqual(
      rows,
      keys.map((key, index) => [
        String(key),
        visibleToken(map.tokens[key] as string),
        (means[key] as number).toPrecision(4),
        index === 0 ? "initial sink" : "sink",
      ]),
    );
    assert.equal(await page.locator("#tokens span.sink").count(), keys.length);
    await page.close();
  });

  it("arrow keys move from head to head, and the average comes back", async () => {
    const page = await open("light");
    await page.locator("#grid").focus();
    for (const key of ["ArrowDown", "ArrowDown", "ArrowRight"]) await page.keyboard.press(key);
    assert.match((await page.locator("#chosen").textContent()) ?? "", /^Layer 1, head 1:/);
    await page.locator("#all").click();
    assert.equal(await page.locator("#chosen").textContent(), "Average over all heads.");
    await page.close();
  });

  it("a hostile prompt is text", async () => {
    const page = await open("light");
    assert.equal(await page.evaluate("window.smuggled"), undefined);
    assert.equal(await page.locator("#tokens span").last().textContent(), visibleToken(HOSTILE));
    await page.close();
  });

  for (const scheme of ["light", "dark"] as const) {
    it(`is accessible in ${scheme}, and asks nothing of the network`, async () => {
      const asked: string[] = [];
      const page = await open(scheme);
      page.on("request", (request) => asked.push(request.url()));
      await page.reload();
      assert.deepEqual(await axe(page.locator("body")), []);
      assert.deepEqual(
        asked.filter((url) => !url.startsWith("file:")),
        [],
      );
      await fs.mkdir("test-results/panels", { recursive: true });
      await page.screenshot({ path: `test-results/panels/page-${scheme}.png`, fullPage: true });
      await page.close();
    });
  }
});
