import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { after, afterEach, before, describe, it } from "node:test";
import { DEFAULT_MODEL, modelPath } from "../../src/store/models.js";
import { axe } from "../panels/axe.js";
import { eventually, says } from "../panels/driver.js";
import { Driver, textOf } from "./driver.js";
import { missing, vsix } from "./vsix.js";

const CODE = `import math


def area_of_circle(radius):
    """Area of a circle."""
    return math.pi * radius ** 2


def area_of_triangle(base, height):
    """Area of a triangle."""
    return base * height / 2


def area_of_square(side):
`;

/** Every fourth head of the layers that may be calibrated. */
const HEAD_SET = {
  schema: 1,
  name: "every fourth",
  model: { layers: 30, heads: 9 },
  heads: Array.from({ length: 27 * 9 }, (_, i) => [2 + Math.floor(i / 9), i % 9]).filter((_, i) => i % 4 === 0),
};

describe("sinks in the workbench", { skip: missing, concurrency: 1 }, () => {
  let driver: Driver;
  const view = () => driver.frame();
  const named = (name: string) => view().locator(`[data-name="${name}"]`);
  const label = () => textOf(named("label"));
  const ready = async (text: RegExp) => {
    await named("label").filter({ hasText: text }).waitFor({ timeout: 60_000 });
    await named("heads").waitFor({ timeout: 60_000 });
  };
  const clickIn = async (name: string, x: number, y: number) => {
    const box = await named(name).boundingBox();
    assert.ok(box, `${name} is on screen`);
    await named(name).click({ position: { x: box.width * x, y: box.height * y } });
  };
  /** Exports through the panel and VS Code's own dialog, and reads what lies on the disk. */
  const exported = async (format: string, file: string): Promise<Buffer> => {
    await named("export-format").click();
    await named("export-format").locator(`vscode-option[value="${format}"]`).click();
    await named("export").click();
    await driver.acceptFile(join(driver.folder, file));
    await named("message")
      .filter({ hasText: `Written to ${file}` })
      .waitFor({ timeout: 10_000 });
    return readFileSync(join(driver.folder, file));
  };
  const decorated = () => driver.page.locator(".editor-instance .cdr[class*='ced-']").count();

  before(async () => {
    const scratch = resolve("test-results/workbench-input");
    execFileSync("mkdir", ["-p", scratch]);
    const headSet = join(scratch, "head-set.json");
    writeFileSync(headSet, JSON.stringify(HEAD_SET));
    driver = await Driver.open({
      name: "sinks",
      vsix: await vsix(),
      files: { "shapes.py": CODE },
      settings: {
        "act.model.path": modelPath(DEFAULT_MODEL),
        "act.model.contextSize": 2048,
        "act.completions.headSet": headSet,
        "act.completions.calibration": "anyway",
      },
    });
    await driver.openFile("shapes.py");
    await driver.toEnd();
    await driver.page.keyboard.type("    return ", { delay: 60 });
    // The prompt is what counts here, whether or not the answer to it is fit to be shown.
    await driver
      .ghostText()
      .first()
      .waitFor({ timeout: 45_000 })
      .catch(() => undefined);
  });
  afterEach(async (t) => void (await driver?.screenshot(`end of ${t.name.slice(0, 40)}`)));
  after(async () => await driver?.close());

  it("shows the prompt of the last completion", async () => {
    await driver.command("ACT: Show Sinks of the Current Prompt");
    await ready(/Last completion in shapes\.py, line 15/);
    assert.match(await label(), /head set: every fourth/);
    assert.match(await textOf(named("tokens")), /area_of_circle/);
    assert.ok((await view().locator('[data-name="next"] tbody tr').count()) >= 5);
    assert.match(await textOf(view().locator(".sinks")), /Attention is not an explanation/);
  });

  it("its exported numbers are those of `act sinks` for the same tokens", async () => {
    const json = JSON.parse(String(await exported("json", "sinks.json")));
    const csv = String(await exported("csv", "sinks.csv"));
    const tokens = resolve("test-results/workbench-input/tokens.json");
    writeFileSync(tokens, JSON.stringify(json.ids));
    const headSet = resolve("test-results/workbench-input/head-set.json");
    const args = ["src/cli/act.mjs", "sinks", "--tokens", tokens, "--heads", headSet, "--json", "--model", modelPath(DEFAULT_MODEL)];
    const command = JSON.parse(execFileSync(process.execPath, args, { encoding: "utf8", maxBuffer: 256 * 1024 * 1024, timeout: 120_000 }));
    assert.deepEqual(json.tokens, command.tokens);
    const means = json.columnMeans.flat(2) as number[];
    const theirs = command.columnMeans.flat(2) as number[];
    assert.equal(means.length, 270 * json.ids.length);
    // The panel's engine may run with other threads than the command's: sums differ in the last bits of a float32.
    for (const [at, mean] of means.entries()) assert.ok(Math.abs(mean - (theirs[at] as number)) < 1e-5, `${at}: ${mean} and ${theirs[at]}`);
    const unquoted = csv
      .replaceAll(/"(?:[^"]|"")*"/g, "quoted")
      .trim()
      .split("\n")
      .slice(1);
    assert.deepEqual(
      unquoted.map((line) => Math.fround(Number(line.split(",")[4]))),
      means.map(Math.fround),
    );
    // The sinks of the calibrated heads, which the engine itself reports, are those that the panel finds at the same threshold.
    const found = new Map(json.sinks.map((sink: { layer: number; head: number }) => [`${sink.layer},${sink.head}`, sink]));
    const near = (one: { layer: number; head: number }) =>
      (command.columnMeans[one.layer][one.head] as number[]).some((mean) => Math.abs(mean - 0.1) < 1e-5);
    // The panel leaves some of them unjudged, those that too few tokens see; calibration counts all.
    const above = ({ exempt, positions, unjudged = [] }: { exempt: number | null; positions: number[]; unjudged?: number[] }) =>
      [...(exempt === null ? [] : [exempt]), ...positions, ...unjudged].sort((one, other) => one - other);
    for (const sink of command.sinks)
      if (!near(sink)) assert.deepEqual(above(found.get(`${sink.layer},${sink.head}`) as never), above(sink));
    assert.ok(command.sinks.length > 0);
  });

  it("exports pictures that open", async () => {
    const png = await exported("png", "sinks.png");
    assert.deepEqual([...png.subarray(0, 8)], [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
    assert.match(String(await exported("svg", "sinks.svg")), /^<svg xmlns=.*<image /s);
  });

  it("opens a head, reads its cells, before and after", async () => {
    await clickIn("heads", 0.5 / 9, 2.5 / 30);
    await view().getByRole("heading", { name: "Layer 2, head 0", exact: true }).waitFor();
    await clickIn("heatmap", 0.02, 0.7);
    await view()
      .locator("#cell-readout")
      .filter({ hasText: /^Locked\. Query .* after calibration/ })
      .waitFor({ timeout: 30_000 });
    for (const name of ["log", "hide-initial"]) await named(name).click();
    for (const stage of ["after", "difference"]) {
      await named("stage").click();
      await named("stage").locator(`vscode-option[value="${stage}"]`).click();
      await driver.screenshot(stage);
    }
    await says(view().locator(".head .legend-title"), /After minus before, log scale/);
  });

  it("is accessible inside the workbench", async () => {
    assert.deepEqual(await axe(view().locator("body")), []);
  });

  it("marks the sinks in the file, and takes the marks away", async () => {
    await named("average").click();
    await named("decorate").click();
    await eventually(async () => assert.ok((await decorated()) > 0, "sinks are marked"));
    await driver.screenshot("decorated");
    await named("decorate").click();
    await eventually(async () => assert.equal(await decorated(), 0));
  });

  it("a killed engine: the next head is read all the same", async () => {
    const [pid] = driver.enginePids();
    assert.ok(pid);
    process.kill(pid, "SIGKILL");
    await driver.page.waitForTimeout(500);
    await clickIn("heads", 4.5 / 9, 12.5 / 30);
    await view().getByRole("heading", { name: "Layer 12, head 4", exact: true }).waitFor();
    await clickIn("heatmap", 0.02, 0.7);
    await view()
      .locator("#cell-readout")
      .filter({ hasText: /^Locked\. Query .*\d/ })
      .waitFor({ timeout: 60_000 });
  });

  it("a hidden panel is whole again when it is shown", async () => {
    const before = await label();
    await driver.command("View: Toggle Maximize Editor Group");
    await driver.page.waitForTimeout(500);
    await driver.command("View: Toggle Maximize Editor Group");
    await driver.page.locator('.tab[data-resource-name="shapes.py"]').click();
    await driver.page.locator(".tab", { hasText: "Attention Sinks" }).click();
    await ready(/Last completion/);
    assert.equal(await label(), before);
    await view().getByRole("heading", { name: "Layer 12, head 4", exact: true }).waitFor();
  });

  it("shows a selection, a typed prompt, and says what is missing", async () => {
    await driver.page.locator('.tab[data-resource-name="shapes.py"]').click();
    await driver.toEnd();
    await driver.page.keyboard.press("Control+Home");
    for (let line = 0; line < 6; line++) await driver.page.keyboard.press("Shift+ArrowDown");
    await driver.command("ACT: Show Sinks of the Selection");
    await ready(/Selection in shapes\.py, lines 1 to 7/);
    assert.match(await textOf(named("tokens")), /area_of_circle/);
    await named("source").click();
    await named("source").locator('vscode-option[value="typed"]').click();
    await named("typed").locator("textarea").fill("The capital of France is");
    await named("show").click();
    await ready(/Typed prompt/);
    await named("source").click();
    await named("source").locator('vscode-option[value="chat"]').click();
    await named("message").filter({ hasText: "The chat has no turn yet" }).waitFor({ timeout: 10_000 });
  });

  it("a prompt of one token has its map, one that does not fit is refused in words", async () => {
    const show = async (text: string) => {
      await named("typed").locator("textarea").fill(text);
      await named("show").click();
    };
    await named("source").click();
    await named("source").locator('vscode-option[value="typed"]').click();
    await show("The");
    await ready(/Typed prompt/);
    await show("word ".repeat(3000));
    await named("message")
      .filter({ hasText: /30\d\d tokens.*2048/s })
      .waitFor({ timeout: 30_000 });
    await show("And again");
    await ready(/Typed prompt/);
  });

  it("after a window reload the panel is there, says that it is empty, and works", async () => {
    await driver.load();
    await named("message").waitFor({ timeout: 60_000 });
    await named("message").filter({ hasText: /\S/ }).waitFor({ timeout: 30_000 });
    await named("source").click();
    await named("source").locator('vscode-option[value="typed"]').click();
    await named("typed").locator("textarea").fill("Two plus two is");
    await named("show").click();
    await ready(/Typed prompt/);
  });
});
