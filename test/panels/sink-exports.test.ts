import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Page } from "playwright-core";
import { PNG } from "pngjs";
import { makeAttention } from "../../webview/fixtures/attention.js";
import { CODE } from "../../webview/fixtures/prompts.js";
import { type Bed, missing, openBed } from "./bed.js";
import { choose, eventually, named, openHead, says, sent } from "./driver.js";

// The same numbers as the fixture's, made here: what is exported is compared with them.
const MAP = makeAttention({ id: "small", tokens: [...CODE], layers: 30, heads: 9 }).map;
const HEAD = { layer: 3, head: 0 };

/** Lines of a CSV without what stands in quotes, which may hold line ends. */
const csvLines = (bytes: Buffer | undefined) =>
  String(bytes)
    .replaceAll(/"(?:[^"]|"")*"/g, "quoted")
    .trim()
    .split("\n");

describe("exports of the sink panel", { skip: missing, timeout: 600_000 }, () => {
  let bed: Bed;
  let page: Page;
  before(async () => {
    bed = await openBed();
  });
  after(() => bed.close());
  const fresh = async () => {
    await page?.close();
    page = await bed.open("sinks");
    await page.getByRole("heading", { name: "Heads", exact: true }).waitFor();
  };
  /** The bytes of the last export, once it has this name. */
  const exported = (name: string) =>
    eventually(async () => {
      const [message] = (await sent(page, "export")).slice(-1);
      assert.equal(message?.name, name);
      return Buffer.from(message?.bytes as number[]);
    });

  test("every export opens, and holds the map's numbers", async () => {
    await fresh();
    const files: Record<string, Buffer> = {};
    for (const format of ["png", "svg", "csv", "json"]) {
      await choose(page, "export-format", format);
      await named(page, "export").click();
      files[format] = await exported(`sinks.${format}`);
    }
    const json = JSON.parse(String(files.json));
    assert.deepEqual(
      json.columnMeans.flat(2).map((mean: number) => Math.fround(mean)),
      [...MAP.columnMeans],
    );
    assert.deepEqual(json.sinks, MAP.sinks);
    const lines = csvLines(files.csv);
    assert.equal(lines.length, 1 + MAP.columnMeans.length);
    const means = lines.slice(1).map((line) => Math.fround(Number(line.replace(/,[^,]*$/, "").replace(/^.*,/, ""))));
    assert.deepEqual(means, [...MAP.columnMeans]);
    const png = PNG.sync.read(files.png as Buffer);
    assert.ok(png.width >= 1900 && png.height >= 1000, "the labelled figure, sharp in print");
    assert.ok(new Set(Array.from(png.data)).size > 50, "it is drawn");
    await page.goto("about:blank"); // away from the panel's content policy
    await page.setContent(String(files.svg));
    assert.equal(await page.locator("svg g:not(.bar)").count(), CODE.length);
    assert.equal(await page.locator("svg g.bar").count(), 3);
    for (const text of ["layer", "head", "token", "table-tools"])
      assert.match((await page.locator("svg").textContent()) ?? "", new RegExp(text));
    assert.match((await page.locator("svg").textContent()) ?? "", /Attention is not an explanation/);
  });

  test("the open head can be exported, before and after", async () => {
    await fresh();
    await choose(page, "export-scope", "head");
    await named(page, "export").click();
    await says(named(page, "message"), /Open a head in the grid first/);
    await openHead(page, HEAD.layer, HEAD.head);
    await choose(page, "export-format", "csv");
    await named(page, "export").click();
    const lines = csvLines(await exported(`sinks-layer-${HEAD.layer}-head-${HEAD.head}.csv`));
    assert.equal(lines[0], "query,key,query_token,key_token,before,after");
    assert.equal(lines.length - 1, (CODE.length * (CODE.length + 1)) / 2);
  });
});
