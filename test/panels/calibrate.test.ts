import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Page } from "playwright-core";
import { foldProgress, startSnapshot } from "../../src/core/search/snapshot.js";
import { describeScore } from "../../webview/calibrate/describe.js";
import { HEADS, LAYERS, searchEvents } from "../../webview/fixtures/search.js";
import { axe } from "./axe.js";
import { type Bed, missing, openBed, problems, THEMES } from "./bed.js";
import { choose, drawn, eventually, moveIn, named, overhang, says, sent, table } from "./driver.js";

/** A gain as it may stand: with interval and n. */
const BARE_GAIN = /[+−]\d+\.\d+ (points|% more likely|nats a token)(?! \(95 % [+−]?[\d.]+ to [+−]?[\d.]+, n = \d+\))/;

describe("calibrate panel", { skip: missing, timeout: 600_000 }, () => {
  let bed: Bed;
  let page: Page;
  before(async () => {
    bed = await openBed();
  });
  after(() => bed.close());

  const fresh = async (one: string, options: Parameters<Bed["open"]>[1] = {}) => {
    const before = page;
    page = await bed.open("calibrate", { ...options, case: one });
    // It has a phase from the first snapshot on; before that the panel is empty.
    await page.locator('[data-name="verdict"][data-phase]').waitFor({ state: "attached" });
    await before?.close();
    if (before) assert.deepEqual(problems(before), [], "the page before this one complained");
    return page;
  };
  /** The panel sent these messages of a type, and no others. */
  const sends = (type: string, messages: unknown[]) => eventually(async () => assert.deepEqual(await sent(page, type), messages));
  const text = async (selector: string) => (await page.locator(selector).textContent()) ?? "";

  test("a search is started on the workspace, for the minutes that were asked for", async () => {
    await fresh("idle");
    await named(page, "budget").locator("input").fill("2.5");
    await named(page, "budget").locator("input").press("Tab");
    await named(page, "start").click();
    await sends("start", [{ type: "start", place: { kind: "workspace" }, budgetMinutes: 2.5, method: "act" }]);
  });

  test("or on named tasks, by either method; without a task it cannot start", async () => {
    await fresh("idle");
    await choose(page, "place", "tasks");
    await named(page, "task-AGNews").click();
    await named(page, "task-sst2").click();
    await choose(page, "method", "zero-tuning");
    await named(page, "start").click();
    await sends("start", [{ type: "start", place: { kind: "tasks", tasks: ["AGNews"] }, budgetMinutes: 10, method: "zero-tuning" }]);
    await fresh("idle");
    await choose(page, "place", "tasks");
    for (const task of ["AGNews", "sst2"])
      if (await named(page, `task-${task}`).evaluate((box) => (box as unknown as { checked: boolean }).checked))
        await named(page, `task-${task}`).click();
    await eventually(async () =>
      assert.ok(await named(page, "start").evaluate((one) => (one as unknown as { disabled: boolean }).disabled)),
    );
  });

  test("a budget that is no number falls back", async () => {
    await fresh("idle");
    const input = named(page, "budget").locator("input");
    for (const wrong of ["-3", "soon", "0", "100000"]) {
      await input.fill(wrong);
      await input.press("Tab");
      await eventually(async () => assert.equal(await input.inputValue(), "10"));
    }
  });

  test("parts, progress and time left are those of the events; the best so far has interval and n", async () => {
    await fresh("midway");
    const run = searchEvents()
      .slice(0, 46)
      .reduce(foldProgress, startSnapshot({ kind: "tasks", tasks: ["sst2"] }, LAYERS, HEADS, 0));
    const choosing = run.parts[1];
    assert.match(await text(".parts"), new RegExp(`Choose${choosing?.done} of ${choosing?.total}`));
    const bar = page.locator('[role="progressbar"]');
    assert.equal(await bar.count(), 1);
    assert.equal(await bar.getAttribute("aria-valuenow"), "45");
    assert.match(await text("section.progress"), /Choosing heads on the first part of the prompts, 45 %about \d+ (s|min) left/);
    assert.match(await text('[data-name="facts"]'), /on sst2 · .* prompts a second · .* forward passes$/);
    assert.match(
      await text('[data-name="best"]'),
      /score [+−][\d.]+ \(95 % [+−][\d.]+ to [+−][\d.]+, n = \d+\) on sst2; not yet confirmed/,
    );
  });

  test("the heads' table and hover read the scores that were sent", async () => {
    await fresh("midway");
    const run = searchEvents()
      .slice(0, 46)
      .reduce(foldProgress, startSnapshot({ kind: "tasks", tasks: ["sst2"] }, LAYERS, HEADS, 0));
    await page.getByText("Heads as a table").click();
    const rows = await eventually(async () => {
      const rows = await table(page, "scores-table");
      assert.equal(rows.length, LAYERS * HEADS);
      return rows;
    });
    for (const [layer, head, , , items] of rows) assert.equal(Number(items), run.scores.items[Number(layer) * HEADS + Number(head)]);
    await moveIn(page, "scores", 4.5 / HEADS, 12.5 / LAYERS);
    const said = await says(page.locator("#score-readout"), /^Layer 12, head 4: /);
    assert.equal(said, describeScore(run, { row: 12, column: 4 }));
  });

  test("the grid fills while the search runs, cancel ends it, and it can go on", async () => {
    await fresh("running");
    const early = await says(named(page, "facts"), /prompts a second/);
    await eventually(async () => assert.notEqual(await text('[data-name="facts"]'), early));
    await named(page, "cancel").click();
    await sends("cancel", [{ type: "cancel" }]);
    await says(named(page, "verdict"), /Cancelled\. What was measured is kept\./);
    await named(page, "resume").click();
    await sends("resume", [{ type: "resume" }]);
    await named(page, "cancel").waitFor();
  });

  test("a panel that is reloaded in the middle shows the search as it stands", async () => {
    await fresh("midway");
    const before = await text(".parts");
    await page.reload();
    await eventually(async () => assert.equal(await text(".parts"), before));
  });

  test("the verdict comes in layers: a sentence, a picture, the numbers, how they were measured; nats only there, explained", async () => {
    await fresh("helps");
    assert.equal(
      await text('[data-name="plain"]'),
      "It helps on sst2: 13 more of 100 answers are right. That is sure (between +7.3 and +18).",
    );
    const picture = await page.locator(".dots").getAttribute("aria-label");
    assert.match(picture ?? "", /Chosen heads \+12\.7, \+7\.3 to \+18\.0; .*Random heads \(5 draws\) −0\.8/);
    assert.equal(await page.locator(".dots .arm").count(), 5);
    assert.equal(await named(page, "evidence").isVisible(), false);
    await named(page, "numbers").locator("summary").click();
    assert.equal(await text('[data-name="verdict"]'), "Calibration helps on sst2 by 12.7 points (95 % 7.3 to 18.0, n = 300); switched on.");
    assert.deepEqual(await table(page, "evidence"), [
      ["No heads", "0", "66.0 %", "", ""],
      ["Chosen heads", "8", "78.7 %", "+12.7 points", "+7.3 to +18.0"],
      ["Batch calibration", "", "78.0 %", "+12.0 points", "+6.6 to +17.2"],
      ["Batch calibration with the set", "8", "80.1 %", "+14.1 points", "+8.8 to +19.6"],
      ["Random heads (5 draws)", "8", "65.2 %", "−0.8 points", "−4.1 to +2.4"],
      ["All eligible heads", "243", "59.3 %", "−6.7 points", "−12.0 to −1.3"],
      ["Chosen heads: AUC", "8", "86.9 %", "+12.8 points", ""],
    ]);
    assert.match(
      await text(".evidence"),
      /Measured on sst2: chosen on 240, validated on 160, confirmed on n = 300 .* p < 0\.001, seed 42\./,
    );
    await fresh("does-not-help");
    assert.match(await text('[data-name="verdict"]'), /does not help .* left off\.$/);
    const said = `${await text('[data-name="plain"]')} ${await text('[data-name="numbers"]')} ${await text(".history .facts")}`;
    assert.match(said, /not known to help on the files of table-tools: the right next token is 0\.3 % more likely/);
    assert.doesNotMatch(said, /\bnats?\b/);
    assert.match(await text('[data-name="measured"]'), /in nats a token: .*One nat is a factor of 2\.72/);
  });

  test("no gain stands without its interval and n", async () => {
    for (const one of ["midway", "helps", "does-not-help"]) {
      await fresh(one);
      const said = await page.locator(".history .facts, [data-name=best], [data-name=verdict]").allTextContents();
      for (const line of said) assert.doesNotMatch(line, BARE_GAIN);
    }
    assert.match("+2.1 points here", BARE_GAIN);
  });

  test("history: switched on and off, opened, exported, removed; one of another model cannot be switched on", async () => {
    await fresh("helps");
    const sets = named(page, "head-set");
    assert.equal(await sets.count(), 3);
    const states = () =>
      sets.locator('[data-name="switch"]').evaluateAll((all) => all.map((one) => (one as unknown as { checked: boolean }).checked));
    assert.deepEqual(await states(), [true, false, false]);
    await sets.nth(0).locator('[data-name="switch"]').click();
    await eventually(async () => assert.deepEqual(await states(), [false, false, false]));
    await sends("switch", [{ type: "switch", id: "sst2-1", on: false, scope: "user" }]);
    // A set that is not known to help has no switch, but a button that asks.
    assert.equal(await sets.nth(1).locator('[data-name="switch"]').isVisible(), false);
    await sets.nth(1).locator('[data-name="anyway"]').click();
    await eventually(async () => assert.deepEqual(await states(), [false, true, false]));
    assert.deepEqual((await sent(page, "switch")).at(-1), { type: "switch", id: "workspace-1", on: true, scope: "workspace" });
    assert.match((await sets.nth(1).textContent()) ?? "", /On trial for completions: it is not known to help there\./);
    assert.match(await text('[data-name="in-force"]'), /Completionson trialtable-tools, 18 November/);
    for (const name of ["switch", "anyway"]) assert.equal(await sets.nth(2).locator(`[data-name="${name}"]`).isVisible(), false);
    assert.match((await sets.nth(2).textContent()) ?? "", /Made for 32 layers × 32 heads; the loaded model has 30 × 9\./);
    await sets.nth(1).locator('[data-name="open"]').click();
    await says(page.locator("#evidence-title"), /table-tools, 18 November/);
    await sets.nth(0).locator('[data-name="export"]').click();
    await sends("export", [{ type: "export", id: "sst2-1" }]);
    await sets.nth(2).locator('[data-name="remove"]').click();
    await eventually(async () => assert.equal(await sets.count(), 2));
    await named(page, "import").click();
    await eventually(async () => assert.equal(await sets.count(), 3));
  });

  test("what stops a search from starting is said", async () => {
    await fresh("blocked");
    assert.match(await text('[data-name="blocked"]'), /No model is loaded/);
    assert.ok(await named(page, "start").evaluate((one) => (one as unknown as { disabled: boolean }).disabled));
    await fresh("failed");
    assert.match(await text('[data-name="verdict"]'), /The engine process ended/);
    assert.ok(await named(page, "resume").isVisible());
  });

  test("by keyboard alone: a task, a search, its heads, cancel", async () => {
    await fresh("idle");
    const focused = () =>
      page.evaluate(() =>
        (
          globalThis as unknown as { document: { activeElement: { getAttribute(name: string): string | null } } }
        ).document.activeElement.getAttribute("data-name"),
      );
    const tabTo = async (name: string) => {
      for (let press = 0; press < 40 && (await focused()) !== name; press++) await page.keyboard.press("Tab");
      assert.equal(await focused(), name);
    };
    await tabTo("start");
    await page.keyboard.press("Enter");
    await eventually(async () => assert.equal((await sent(page, "start")).length, 1));
    await named(page, "scores").waitFor();
    await tabTo("scores");
    for (const key of ["ArrowDown", "ArrowDown", "ArrowRight"]) await page.keyboard.press(key);
    await says(page.locator("#score-readout"), /^Layer 2, head 1: /);
    await page.keyboard.down("Shift");
    await tabTo("cancel");
    await page.keyboard.up("Shift");
    await page.keyboard.press("Enter");
    await sends("cancel", [{ type: "cancel" }]);
  });

  test("nothing is cut off, in a wide window or beside an editor", async () => {
    for (const one of ["idle", "midway", "helps", "does-not-help"])
      for (const width of [1280, 900, 480]) {
        await fresh(one, { width });
        await drawn(page);
        assert.ok((await overhang(page)) <= 0, `${one} at ${width} pixels`);
      }
  });

  for (const theme of THEMES) {
    test(`accessible in ${theme}, nothing broken on the way`, async () => {
      for (const one of ["idle", "midway", "helps"]) {
        await fresh(one, { theme });
        await drawn(page);
        await bed.screenshot(page, `calibrate-${one}-${theme}`);
        assert.deepEqual(await axe(page.locator("body")), []);
        assert.deepEqual(problems(page), []);
      }
    });
  }
});
