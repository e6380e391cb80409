import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Page } from "playwright-core";
import { sequentialPalette, type ThemeKind } from "../../src/core/picture/colour.js";
import { largest, paletteIndex } from "../../src/core/picture/scale.js";
import { allSinksAt, meansOf, sinkMasses, visibleToken } from "../../src/core/sinks/values.js";
import { makeAttention } from "../../webview/fixtures/attention.js";
import { CODE } from "../../webview/fixtures/prompts.js";
import { axe } from "./axe.js";
import { type Bed, missing, openBed, problems, THEMES } from "./bed.js";
import { choose, clickIn, drawn, eventually, moveIn, named, openHead, overhang, pixel, says, sent, table } from "./driver.js";

// The same numbers as the fixture's, made here: what is on screen is compared with them, never with itself.
const MAP = makeAttention({ id: "small", tokens: [...CODE], layers: 30, heads: 9 }).map;
const FIXED = { mode: "fixed", value: 0.1 } as const;
/** A head with two later sinks at least, and one that the fixture calibrates (odd layers from 3, every fourth head). */
const HEAD = MAP.sinks.find(
  ({ layer, head, positions }) =>
    positions.length >= 2 && layer % 2 === 1 && layer >= 3 && (head - (layer % 3)) % 4 === 0 && head >= layer % 3,
);
const OTHER = MAP.sinks.find(({ layer, positions }) => layer % 2 === 0 && positions.length >= 2);
assert.ok(HEAD && OTHER, "the fixture has heads with sinks");

describe("sink panel", { skip: missing, timeout: 600_000 }, () => {
  let bed: Bed;
  let page: Page;
  before(async () => {
    bed = await openBed();
  });
  after(() => bed.close());

  const fresh = async (options: Parameters<Bed["open"]>[1] = {}) => {
    const before = page;
    page = await bed.open("sinks", options);
    if (!["empty", "failed"].includes(options.case ?? "")) await page.getByRole("heading", { name: "Heads", exact: true }).waitFor();
    await before?.close();
    if (before) assert.deepEqual(problems(before), [], "the page before this one complained");
    return page;
  };
  const readout = () => page.locator("#cell-readout");
  const legend = () => page.locator(".head .legend-title");
  const hint = () => page.locator(".head [role=status]");
  const open = (one: { layer: number; head: number }) => openHead(page, one.layer, one.head);
  /** Opens the table of all heads; its rows are made when it is open. */
  const headsTable = async () => {
    await page.getByText("All heads as a table").click();
    return await eventually(async () => {
      const rows = await table(page, "heads-table");
      assert.equal(rows.length, 270);
      return rows;
    });
  };
  /** Some of the grid's pixels are the masses on the theme's palette. */
  const gridShows = async (theme: ThemeKind) => {
    const masses = sinkMasses(MAP, FIXED, true);
    const palette = sequentialPalette(theme);
    for (const at of [0, 8, 100, 269]) {
      const [layer, head] = [Math.floor(at / 9), at % 9];
      const expected = palette[paletteIndex(masses[at] as number, { kind: "linear", max: largest(masses) })];
      await eventually(async () =>
        assert.deepEqual(await pixel(page, "heads", (head + 0.5) / 9, (layer + 0.5) / 30), [...(expected ?? []), 255]),
      );
    }
  };
  test("the table's numbers are the map's, for every head", async () => {
    await fresh();
    const rows = await headsTable();
    const masses = sinkMasses(MAP, FIXED, true);
    rows.forEach(([layer, head, mass, initial, later], index) => {
      const sinks = MAP.sinks[index];
      assert.deepEqual([Number(layer), Number(head)], [sinks?.layer, sinks?.head]);
      assert.equal(Math.fround(Number(mass)), masses[index]);
      assert.equal(Number(later), sinks?.positions.length);
      assert.match(initial ?? "", sinks?.exempt === null ? /^none$/ : new RegExp(`\\(${sinks?.exempt}\\)$`));
    });
  });

  test("the grid's pixels are the masses on the palette", async () => {
    await fresh();
    await gridShows("dark");
  });

  test("a click opens a head: its sinks as a table, its tokens marked, its cells readable", async () => {
    await fresh();
    await open(HEAD);
    const means = meansOf(MAP, HEAD.layer, HEAD.head);
    const expected = [
      ...(HEAD.exempt === null ? [] : [[HEAD.exempt, "initial sink"] as const]),
      ...HEAD.positions.map((key) => [key, "sink"] as const),
    ];
    const rows = await table(page, "sinks-table");
    assert.deepEqual(
      rows.map(([key, token, mean, role]) => [Number(key), token, Math.fround(Number(mean)), role]),
      expected.map(([key, role]) => [key, visibleToken(CODE[key] as string), means[key], role]),
    );
    const marked = await named(page, "tokens")
      .locator('[data-role="sink"]')
      .evaluateAll((spans) => spans.map((span) => Number(span.getAttribute("data-token"))));
    assert.deepEqual(marked, HEAD.positions);

    const [query, key] = [60, HEAD.positions[0] as number];
    await moveIn(page, "heatmap", (key + 0.5) / CODE.length, (query + 0.5) / CODE.length);
    const said = await says(readout(), new RegExp(`^Query .* \\(${query}\\), key .* \\(${key}\\): `));
    const { matrix } = makeAttention({ id: "small", tokens: [...CODE], layers: 30, heads: 9, calibrated: [[HEAD.layer, HEAD.head]] });
    const tile = matrix({ id: "", layer: HEAD.layer, head: HEAD.head, maxSide: 512 });
    const before = tile.values[query * tile.columns + key] as number;
    const afterwards = tile.calibrated?.[query * tile.columns + key] as number;
    const [shownBefore, shownAfter] = [...(/: ([\d.e-]+); after calibration ([\d.e-]+)/.exec(said) ?? [])].slice(1).map(Number);
    assert.ok(Math.abs((shownBefore as number) - before) < 6e-4, `${shownBefore} for ${before}`);
    assert.ok(Math.abs((shownAfter as number) - afterwards) < 6e-4, `${shownAfter} for ${afterwards}`);
    assert.ok(Math.abs(afterwards / before - 0.4) < 1e-3, "a sink keeps beta of its attention");
  });

  test("above the diagonal there is no value, and the readout says why", async () => {
    await fresh();
    await open(HEAD);
    await moveIn(page, "heatmap", 0.9, 0.1);
    await says(readout(), /none, a query cannot look at a later key/);
    assert.deepEqual(await pixel(page, "heatmap", 0.95, 0.05), [58, 58, 62, 255]);
  });

  test("a click locks the reading, another one unlocks it", async () => {
    await fresh();
    await open(HEAD);
    await clickIn(page, "heatmap", 0.1, 0.8);
    const locked = await says(readout(), /^Locked\. Query/);
    await moveIn(page, "heatmap", 0.3, 0.9);
    await page.waitForTimeout(50); // some frames, in which a reading that is not locked would follow the pointer
    assert.equal(await readout().textContent(), locked);
    await clickIn(page, "heatmap", 0.3, 0.9);
    const unlocked = await says(readout(), /^Query/);
    assert.notEqual(`Locked. ${unlocked}`, locked);
  });

  test("log scale changes the colours and the legend, not the numbers", async () => {
    await fresh();
    await open(HEAD);
    const [rows, colour] = [await table(page, "sinks-table"), await pixel(page, "heatmap", 0.2, 0.9)];
    await named(page, "log").click();
    await says(legend(), /log scale/);
    await eventually(async () => assert.notDeepEqual(await pixel(page, "heatmap", 0.2, 0.9), colour));
    assert.deepEqual(await table(page, "sinks-table"), rows);
  });

  test("hiding the initial sink takes it out of colours, masses and reading", async () => {
    await fresh();
    await open(HEAD);
    await named(page, "hide-initial").click();
    await moveIn(page, "heatmap", ((HEAD.exempt ?? 0) + 0.5) / CODE.length, 0.9);
    await says(readout(), /the initial sink, hidden/);
    const masses = sinkMasses(MAP, FIXED, false);
    assert.deepEqual(
      (await headsTable()).map(([, , mass]) => Math.fround(Number(mass))),
      [...masses],
    );
  });

  test("before, after and difference; a head outside the set says that nothing changes", async () => {
    await fresh();
    await open(HEAD);
    const at = [((HEAD.positions[0] as number) + 0.5) / CODE.length, 0.95] as const;
    const colours = [await pixel(page, "heatmap", ...at)];
    for (const stage of ["after", "difference"]) {
      await choose(page, "stage", stage);
      const colour = await eventually(async () => {
        const now = await pixel(page, "heatmap", ...at);
        assert.ok(!colours.some((other) => String(other) === String(now)), `${stage} has a picture of its own`);
        return now;
      });
      colours.push(colour);
    }
    const [red = 0, , blue = 0] = colours[2] ?? [];
    assert.ok(red > blue, "a sink loses: orange");
    await says(legend(), /After minus before/);
    await open(OTHER);
    await says(hint(), /not in the head set, so before and after are the same/);
  });

  test("the threshold moves the sinks without asking the engine again", async () => {
    await fresh();
    await open(HEAD);
    const asked = (await sent(page, "matrix")).length;
    await named(page, "threshold").focus();
    for (let press = 0; press < 60; press++) await page.keyboard.press("ArrowLeft");
    await eventually(async () => {
      const [message] = (await sent(page, "threshold")).slice(-1) as { threshold: { mode: "fixed"; value: number } }[];
      const value = message?.threshold.value as number;
      assert.ok(value < 0.1 && value > 0.04, `${value}`);
      const sinks = allSinksAt(MAP, { mode: "fixed", value }).find(({ layer, head }) => layer === HEAD.layer && head === HEAD.head);
      const rows = await table(page, "sinks-table");
      assert.deepEqual(
        rows.filter(([, , , role]) => role === "sink").map(([key]) => Number(key)),
        sinks?.positions,
      );
    });
    assert.equal((await sent(page, "matrix")).length, asked);
  });

  test("the next tokens stand beside each other, with and without", async () => {
    await fresh();
    const rows = await table(page, "next");
    assert.deepEqual(rows[0], ["·return", "41.0 %", "52.0 %"]);
    await fresh({ case: "off" });
    assert.deepEqual((await table(page, "next"))[0], ["·return", "41.0 %"]);
    assert.match((await page.locator(".next").textContent()) ?? "", /There is no head set for this prompt/);
  });

  test("by keyboard alone: to the grid, into a head, through its cells, locked, zoomed, out again", async () => {
    await fresh();
    const focused = () =>
      page.evaluate(() =>
        (
          globalThis as unknown as { document: { activeElement: { getAttribute(name: string): string | null } } }
        ).document.activeElement.getAttribute("data-name"),
      );
    for (let press = 0; press < 40 && (await focused()) !== "heads"; press++) await page.keyboard.press("Tab");
    assert.equal(await focused(), "heads");
    for (let step = 0; step < HEAD.layer; step++) await page.keyboard.press("ArrowDown");
    for (let step = 0; step < HEAD.head; step++) await page.keyboard.press("ArrowRight");
    await says(page.locator("#heads-readout"), new RegExp(`^Layer ${HEAD.layer}, head ${HEAD.head}:`));
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: `Layer ${HEAD.layer}, head ${HEAD.head}`, exact: true }).waitFor();
    for (let press = 0; press < 20 && (await focused()) !== "heatmap"; press++) await page.keyboard.press("Tab");
    assert.equal(await focused(), "heatmap");
    for (const key of ["End", "ArrowDown", "ArrowDown", "Home", "ArrowRight", "Enter"]) await page.keyboard.press(key);
    await says(readout(), /^Locked\. Query .* \(2\), key .* \(1\):/);
    await page.keyboard.press("+");
    await page.keyboard.press("Escape");
    await says(readout(), /^Query/);
    await page.keyboard.press("0");
  });

  test("where the user was survives a reload; the content comes from the host again", async () => {
    await fresh();
    await open(HEAD);
    await named(page, "log").click();
    await clickIn(page, "heatmap", 0.1, 0.8);
    const before = await says(readout(), /^Locked\. Query/);
    await page.reload();
    await page.getByRole("heading", { name: `Layer ${HEAD.layer}, head ${HEAD.head}`, exact: true }).waitFor();
    await eventually(async () => assert.equal(await readout().textContent(), before));
    await says(legend(), /log scale/);
  });

  test("a typed prompt is asked for; a source without a prompt answers in a sentence", async () => {
    await fresh();
    await choose(page, "source", "typed");
    await named(page, "typed").locator("textarea").fill("one two three");
    await named(page, "show").click();
    await says(named(page, "label"), /^Typed prompt/);
    await eventually(async () => assert.equal(await named(page, "tokens").locator("span").count(), 5));
    await choose(page, "source", "chat");
    await says(named(page, "message"), /^The chat has no turn yet\.$/);
    assert.deepEqual(
      (await sent(page, "open")).map(({ source }) => source),
      [{ kind: "typed", text: "one two three" }, { kind: "chat" }],
    );
  });

  test("a prompt of 4096 tokens: text by the window, pooled cells, detail on zoom, the newest wish wins", async () => {
    await fresh({ case: "long" });
    assert.equal(await named(page, "tokens").locator("span").count(), 1024);
    await named(page, "later").click();
    await says(page.locator(".strip"), /Tokens 1024 to 2047 of 4096/);
    await openHead(page, 8, 4, 32, 32);
    await says(hint(), /8 × 8 tokens/);
    for (let press = 0; press < 3; press++) await named(page, "zoom-in").click();
    const wishes = () => sent(page, "matrix") as Promise<{ params: { rows: number[] } }[]>;
    await eventually(async () => {
      assert.deepEqual((await wishes()).at(-1)?.params.rows, [1792, 2304]);
      assert.doesNotMatch((await hint().textContent()) ?? "", /8 × 8/);
    });
    const { length } = await wishes();
    assert.ok(length <= 4, `${length} tiles were asked for`);
  });

  test("one token, no sinks, no prompt, a failure: each is a sentence", async () => {
    await fresh({ case: "one-token" });
    assert.equal(await named(page, "tokens").locator("span").count(), 1);
    await openHead(page, 3, 0);
    await moveIn(page, "heatmap", 0.5, 0.5);
    await says(readout(), /^Query “x” \(0\), key “x” \(0\): 1\.000/);
    await fresh({ case: "no-sinks" });
    await says(page.locator(".tables"), /there is nothing to calibrate in this prompt/);
    await fresh({ case: "empty" });
    await says(named(page, "message"), /There is no completion yet/);
    await fresh({ case: "failed" });
    await says(named(page, "message"), /The engine stopped/);
  });

  test("it always says that attention is not an explanation", async () => {
    for (const one of ["small", "empty"]) {
      await fresh({ case: one });
      assert.match((await page.locator(".sinks").textContent()) ?? "", /Attention is not an explanation/);
    }
  });

  test("nothing is cut off, in a wide window or beside an editor", async () => {
    for (const one of ["small", "long", "off", "empty", "failed"])
      for (const width of [1280, 900, 480]) {
        await fresh({ case: one, width });
        if (one === "small") await open(HEAD);
        await drawn(page);
        assert.ok((await overhang(page)) <= 0, `${one} at ${width} pixels`);
      }
  });

  for (const theme of THEMES) {
    test(`accessible in ${theme}, nothing broken on the way`, async () => {
      await fresh({ theme });
      await open(HEAD);
      await headsTable();
      await drawn(page);
      await bed.screenshot(page, `sinks-${theme}`);
      assert.deepEqual(await axe(page.locator("body")), []);
      assert.deepEqual(problems(page), []);
    });
  }

  test("changing the theme repaints what is on screen", async () => {
    await fresh({ theme: "dark" });
    await gridShows("dark");
    await page.evaluate(() => (globalThis as unknown as { fixture: { theme(kind: string): void } }).fixture.theme("light"));
    await gridShows("light");
  });
});
