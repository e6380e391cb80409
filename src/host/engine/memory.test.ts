import assert from "node:assert/strict";
import { mkdirSync, readdirSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { temporaryFolder } from "../../../test/fixtures/temporary.js";
import { onBattery } from "../completions/battery.js";
import { checkMemory, EngineRegistry } from "./memory.js";

const folder = () => temporaryFolder("registry");

/** A file of any length that takes no room. */
function sparse(bytes: number): string {
  const file = join(folder(), "model.gguf");
  writeFileSync(file, "");
  truncateSync(file, bytes);
  return file;
}

describe("memory before a load", () => {
  it("a file that is not there is named", async () => {
    await assert.rejects(checkMemory("/nowhere/model.gguf", new EngineRegistry(folder())), /nowhere\/model\.gguf is not there/);
  });
  it("a small model passes, one larger than the machine is refused in GiB", async () => {
    const registry = new EngineRegistry(folder());
    await checkMemory(sparse(1000), registry);
    await assert.rejects(checkMemory(sparse(2 ** 43), registry), /needs 8192\.0 GiB of memory and [\d.]+ GiB are free/);
  });
  it("windows see each other's engines: the same model is shared, another one must fit beside it", async () => {
    const place = folder();
    const huge = sparse(2 ** 43);
    const other = new EngineRegistry(place);
    // This process stands for the other window's engine: it is alive.
    other.note(process.pid, huge, 3 * 2 ** 30);
    const mine = new EngineRegistry(place);
    assert.deepEqual(mine.others(), [{ pid: process.pid, model: huge, bytes: 3 * 2 ** 30 }]);
    await checkMemory(huge, mine);
    await assert.rejects(checkMemory(sparse(2 ** 43), mine), /Another window has a model loaded \(3\.0 GiB\)/);
    other.forget();
    assert.deepEqual(mine.others(), []);
  });
  it("engines that are gone are forgotten", () => {
    const place = folder();
    writeFileSync(join(place, "4194304.json"), JSON.stringify({ pid: 4_194_304, model: "m", bytes: 1 }));
    writeFileSync(join(place, "broken.json"), "{");
    assert.deepEqual(new EngineRegistry(place).others(), []);
    assert.deepEqual(readdirSync(place), []);
  });
});

describe("battery on Linux", () => {
  const supplies = (all: Record<string, Record<string, string>>) => {
    const place = folder();
    for (const [name, files] of Object.entries(all)) {
      const one = join(place, name);
      mkdirSync(one);
      for (const [file, text] of Object.entries(files)) writeFileSync(join(one, file), `${text}\n`);
    }
    return place;
  };
  it("a discharging battery counts, a plugged-in one and a desktop do not", async () => {
    const battery = (status: string) => ({ type: "Battery", status });
    assert.equal(await onBattery("linux", supplies({ BAT0: battery("Discharging") })), true);
    assert.equal(await onBattery("linux", supplies({ BAT0: battery("Charging"), AC: { type: "Mains", online: "1" } })), false);
    assert.equal(await onBattery("linux", supplies({ BAT0: battery("Discharging"), AC: { type: "Mains", online: "1" } })), false);
    assert.equal(await onBattery("linux", supplies({})), false);
    assert.equal(await onBattery("linux", "/not/there"), false);
  });
});
