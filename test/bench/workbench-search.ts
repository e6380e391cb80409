/**
 * A head search as a user runs it: the packaged extension in a real workbench, the panel, a file that is typed in meanwhile (issues 4 and 6).
 * `ACT_DATA=DIR [ACT_BUDGET=10] [ACT_PICTURES=1] node scripts/run.mjs bench workbench-search`; pictures are the README's of both panels.
 */
import type { BuildContext } from "../../scripts/context.js";
import { ensureDefaultModel } from "../../scripts/fetch/model.js";
import { Driver, textOf } from "../workbench/driver.js";
import { vsix } from "../workbench/vsix.js";

const TASK = "sst2";
const CODE = `import math


def area_of_circle(radius):
    """Area of a circle."""
    return math.pi * radius ** 2


def area_of_triangle(base, height):
    """Area of a triangle."""
    return base * height / 2


def area_of_square(side):
`;

export interface WorkbenchSearch {
  task: string;
  budgetMinutes: number;
  /** From the click on Calibrate. */
  firstHeadsSeconds: number;
  ghostTextSeconds: number;
  verdictSeconds: number;
  verdict: string;
}

export async function run(context: BuildContext): Promise<WorkbenchSearch> {
  const minutes = Number(process.env.ACT_BUDGET ?? 10);
  const driver = await Driver.open({
    name: "search",
    vsix: await vsix(),
    files: { "shapes.py": CODE },
    settings: { "act.model.path": await ensureDefaultModel(context.cache), "act.model.contextSize": 2048 },
  });
  try {
    const { page } = driver;
    const named = (name: string) => driver.frame().locator(`[data-name="${name}"]`);
    await driver.openFile("shapes.py");
    await driver.command("ACT: Calibrate Heads");
    await named("place").click();
    await named("place").locator('vscode-option[value="tasks"]').click();
    // sst2 is ticked from the start.
    await named("budget").locator("input").fill(String(minutes));
    await named("budget").locator("input").press("Tab");
    const started = performance.now();
    const seconds = () => Math.round((performance.now() - started) / 100) / 10;
    await named("start").click();
    const limit = { timeout: (minutes + 10) * 60_000 };
    await named("facts")
      .filter({ hasText: /[1-9]\d* forward passes/ })
      .waitFor(limit);
    const firstHeadsSeconds = seconds();

    await page.locator(".tab", { hasText: "shapes.py" }).click();
    await driver.toEnd();
    const typed = seconds();
    await page.keyboard.type("    return ", { delay: 60 });
    await driver.ghostText().first().waitFor(limit);
    const ghostTextSeconds = Math.round(10 * (seconds() - typed)) / 10;
    await page.keyboard.press("Escape");

    await page.locator(".tab", { hasText: "Calibrate Heads" }).click();
    await driver.frame().locator('[data-name="verdict"][data-phase*="help"]').waitFor(limit);
    const verdictSeconds = seconds();
    const verdict = await textOf(named("verdict"));
    await driver.command("View: Toggle Primary Side Bar Visibility");
    await wide(driver, "calibrate", 1320);

    await page.locator(".tab", { hasText: "Calibrate Heads" }).click({ button: "middle" });
    await driver.toEnd();
    await driver.command("ACT: Show Sinks of the Current Prompt");
    // The second eligible layer's first head.
    await named("heads").waitFor();
    for (const key of ["ArrowDown", "ArrowDown", "ArrowDown", "Enter"]) await named("heads").press(key);
    await named("heatmap").waitFor();
    await page.locator(".tab", { hasText: "Attention Sinks" }).click();
    await driver.command("View: Toggle Maximize Editor Group");
    await wide(driver, "sinks", 1500);
    return { task: TASK, budgetMinutes: minutes, firstHeadsSeconds, ghostTextSeconds, verdictSeconds, verdict };
  } catch (error) {
    await driver.screenshot("failed");
    throw error;
  } finally {
    await driver.close();
  }
}

/** A picture of the window, high enough for the whole panel, from its top. */
async function wide(driver: Driver, name: string, height: number): Promise<void> {
  await driver.page.setViewportSize({ width: 1280, height });
  await driver.page.waitForTimeout(1500);
  await driver.frame().locator("h1").first().scrollIntoViewIfNeeded();
  await driver.picture(name, { x: 0, y: 0, width: 1280, height });
  await driver.page.setViewportSize({ width: 1280, height: 800 });
}
