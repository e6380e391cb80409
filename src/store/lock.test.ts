import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { test } from "node:test";
import { temporaryFolder } from "../../test/fixtures/temporary.js";
import { tryLock, waitForLock, withLock } from "./lock.mjs";

test("a second taker gets nothing until the first releases", async () => {
  const file = path.join(temporaryFolder("lock"), "a.lock");
  const first = await tryLock(file);
  assert.ok(first);
  assert.equal(await tryLock(file), null);
  await first.release();
  const second = await tryLock(file);
  assert.ok(second);
  await second.release();
  assert.deepEqual(await fs.readdir(path.dirname(file)), [], "nothing is left behind");
});

test("the lock of a dead process is taken over by exactly one of many", async () => {
  const file = path.join(temporaryFolder("lock"), "a.lock");
  const child = fork("-e", [], { execPath: process.execPath, execArgv: ["-e", "process.exit(0)"], stdio: "ignore" });
  await once(child, "exit");
  for (let round = 0; round < 100; round++) {
    await fs.writeFile(file, JSON.stringify({ pid: child.pid, host: os.hostname(), token: `dead-${round}` }));
    const taken = (await Promise.all(Array.from({ length: 8 }, () => tryLock(file)))).filter((lock) => lock !== null);
    assert.ok(taken.length <= 1, `${taken.length} processes hold the lock`);
    const lock = taken[0] ?? (await waitForLock(file));
    await lock.release();
  }
});

test("a lock of another machine counts as held until it was not renewed for a minute", async () => {
  const file = path.join(temporaryFolder("lock"), "a.lock");
  await fs.writeFile(file, JSON.stringify({ pid: 1, host: "elsewhere", token: "x" }));
  assert.equal(await tryLock(file), null);
  const old = new Date(Date.now() - 120_000);
  await fs.utimes(file, old, old);
  const lock = await tryLock(file);
  assert.ok(lock);
  await lock.release();
});

test("withLock runs one at a time and releases after a failure", async () => {
  const file = path.join(temporaryFolder("lock"), "a.lock");
  let inside = 0;
  const work = () =>
    withLock(file, async () => {
      assert.equal(++inside, 1);
      await new Promise((resolve) => setTimeout(resolve, 10));
      inside--;
    });
  await Promise.all([work(), work(), work()]);
  await assert.rejects(
    withLock(file, () => Promise.reject(new Error("no"))),
    /no/,
  );
  await work();
});

test("waiting ends when it is aborted", async () => {
  const file = path.join(temporaryFolder("lock"), "a.lock");
  const lock = await tryLock(file);
  const waiting = waitForLock(file, { signal: AbortSignal.timeout(50) });
  await assert.rejects(waiting, { name: "TimeoutError" });
  await lock?.release();
});
