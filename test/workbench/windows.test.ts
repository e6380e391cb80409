import assert from "node:assert/strict";
import { readFileSync, statSync } from "node:fs";
import { after, afterEach, before, describe, it } from "node:test";
import { DEFAULT_MODEL, modelPath } from "../../src/store/models.js";
import { Driver } from "./driver.js";
import { sources } from "./sources.js";
import { missing, vsix } from "./vsix.js";

const model = modelPath(DEFAULT_MODEL);
const python = (name: string) => `def area_of_${name}(side):\n    return side * side\n\n\ndef double_${name}(side):\n`;

/** Bytes that a process shares with others, of those that come from files. */
function sharedBytes(pid: number): number {
  const shared = /^Shared_Clean:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"))?.[1];
  return Number(shared) * 1024;
}

/** Two windows of one workbench: an engine each, one model in memory, one search at a time. */
describe("two windows", { skip: missing, concurrency: 1 }, () => {
  let first: Driver;
  let second: Driver;
  const engines: { first?: number; second?: number } = {};

  const suggests = async (driver: Driver, typed: string) => {
    await driver.toEnd();
    await driver.page.keyboard.type(typed, { delay: 60 });
    await driver.ghostText().first().waitFor();
    await driver.page.keyboard.press("Escape");
  };
  const startSearch = async (driver: Driver) => {
    await driver.command("ACT: Calibrate Heads");
    await driver.frame().locator('[data-name="start"]').click();
    return driver.frame().locator('[data-name="verdict"]');
  };

  before(async () => {
    first = await Driver.open({
      name: "windows",
      vsix: await vsix(),
      files: { ...sources(), "one.py": python("square") },
      settings: { "act.model.path": model, "act.model.contextSize": 2048 },
    });
  });
  afterEach(async (t) => {
    await first?.screenshot(`end of ${t.name.slice(0, 40)}`);
    await second?.screenshot(`end of ${t.name.slice(0, 40)}`);
  });
  after(async () => await first?.close());

  it("each has an engine of its own, and both suggest", async () => {
    await first.openFile("one.py");
    await suggests(first, "    return ");
    [engines.first] = first.enginePids();
    second = await first.another("second", { ...sources(), "two.py": python("tile") });
    await second.openFile("two.py");
    await suggests(second, "    return ");
    engines.second = first.enginePids().find((pid) => pid !== engines.first);
    assert.ok(engines.first && engines.second, `engines ${first.enginePids()}`);
  });

  it("the model's weights are in memory once", () => {
    const weights = statSync(model).size;
    for (const pid of [engines.first, engines.second]) {
      const shared = sharedBytes(pid as number);
      assert.ok(shared > 0.9 * weights, `${shared} of ${weights} bytes are shared`);
    }
  });

  it("one window's engine is killed: it is back there, and the other has not noticed", async () => {
    process.kill(engines.second as number, "SIGKILL");
    await suggests(first, "side + ");
    await suggests(second, "side + ");
    const pids = first.enginePids();
    assert.ok(pids.includes(engines.first as number) && !pids.includes(engines.second as number) && pids.length === 2, `engines ${pids}`);
  });

  it("while one window calibrates, the other says so", async () => {
    const searching = await startSearch(first);
    await searching.filter({ hasText: /^Searching on/ }).waitFor();
    const refused = await startSearch(second);
    await refused.filter({ hasText: /^Another window is calibrating\. Wait until it has finished/ }).waitFor();
    await first.frame().locator('[data-name="cancel"]').click();
    await searching.filter({ hasText: /^Cancelled\./ }).waitFor();
    await second.frame().locator('[data-name="start"]').click();
    await refused.filter({ hasText: /^Searching on/ }).waitFor();
    await second.frame().locator('[data-name="cancel"]').click();
  });
});
