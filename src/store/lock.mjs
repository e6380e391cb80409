// A lock file between processes. Plain JavaScript, because the set-up needs it before the TypeScript compiler is installed.
import { randomUUID } from "node:crypto";
import fs from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { makeFolder } from "./folder.mjs";

const BEAT_MS = 5_000;
/** A holder that was not seen for this long is dead, wherever it ran. */
const DEAD_AFTER_MS = 60_000;
const POLL_MS = 250;

/** @typedef {{ pid: number, host: string, token: string }} Holder */
/** @typedef {{ release: () => Promise<void> }} Lock */

/**
 * Takes the lock, or answers null at once when another living process holds it.
 * @param {string} file
 * @returns {Promise<Lock | null>}
 */
export async function tryLock(file) {
  const token = randomUUID();
  await makeFolder(path.dirname(path.resolve(file)));
  // A hard link puts the complete file there in one step, so nobody ever reads a half-written holder.
  const draft = `${file}.${token}`;
  await fs.writeFile(draft, JSON.stringify({ pid: process.pid, host: os.hostname(), token }));
  try {
    for (let attempt = 0; attempt < 2; attempt++) {
      try {
        await fs.link(draft, file);
        return held(file, token);
      } catch (error) {
        if (/** @type {NodeJS.ErrnoException} */ (error).code !== "EEXIST") throw error;
      }
      if (!(await removeIfDead(file, draft))) return null;
    }
    return null;
  } finally {
    await fs.rm(draft, { force: true });
  }
}

/**
 * Waits for the lock.
 * @param {string} file
 * @param {{ signal?: AbortSignal, onWait?: (holder: Holder | null) => void }} [options] `onWait` is called once, when another process holds it
 * @returns {Promise<Lock>}
 */
export async function waitForLock(file, { signal, onWait } = {}) {
  for (let told = false; ; ) {
    signal?.throwIfAborted();
    const lock = await tryLock(file);
    if (lock) return lock;
    if (!told) onWait?.((await readHolder(file))?.holder ?? null);
    told = true;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/**
 * Runs `work` while holding the lock.
 * @template T
 * @param {string} file
 * @param {() => Promise<T>} work
 * @param {{ signal?: AbortSignal, onWait?: (holder: Holder | null) => void }} [options]
 * @returns {Promise<T>}
 */
export async function withLock(file, work, options) {
  const lock = await waitForLock(file, options);
  try {
    return await work();
  } finally {
    await lock.release();
  }
}

/**
 * @param {string} file
 * @param {string} token
 * @returns {Lock}
 */
function held(file, token) {
  const beat = setInterval(() => {
    const now = new Date();
    fs.utimes(file, now, now).catch(() => undefined); // gone or stolen: release notices
  }, BEAT_MS);
  beat.unref();
  return {
    async release() {
      clearInterval(beat);
      if ((await readHolder(file))?.holder.token === token) await fs.rm(file, { force: true });
    },
  };
}

/**
 * Removes the lock of a dead holder. A guard file lets one process at a time look and remove, so that nobody removes a successor's lock.
 * @param {string} file
 * @param {string} draft a file that exists, to link the guard from
 * @returns {Promise<boolean>} whether it is worth trying again
 */
async function removeIfDead(file, draft) {
  const seen = await readHolder(file);
  if (!seen) return true;
  if (!isDead(seen)) return false;
  const guard = `${file}.guard`;
  try {
    await fs.link(draft, guard);
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code !== "EEXIST") throw error;
    // A guard is held for milliseconds: an old one belongs to a process that was killed at that moment.
    if (((await readHolder(guard))?.age ?? 0) > DEAD_AFTER_MS) await fs.rm(guard, { force: true });
    return false;
  }
  try {
    const now = await readHolder(file);
    if (now && isDead(now)) await fs.rm(file, { force: true });
    return true;
  } finally {
    await fs.rm(guard, { force: true });
  }
}

/** @param {{ holder: Holder, age: number }} seen */
function isDead({ holder, age }) {
  if (age > DEAD_AFTER_MS) return true;
  if (holder.host !== os.hostname()) return false;
  try {
    process.kill(holder.pid, 0);
    return false;
  } catch (error) {
    return /** @type {NodeJS.ErrnoException} */ (error).code === "ESRCH";
  }
}

/**
 * @param {string} file
 * @returns {Promise<{ holder: Holder, age: number } | null>} null where there is no lock
 */
async function readHolder(file) {
  try {
    const [text, stat] = await Promise.all([fs.readFile(file, "utf8"), fs.stat(file)]);
    const age = Date.now() - stat.mtimeMs;
    try {
      return { holder: JSON.parse(text), age };
    } catch {
      return { holder: { pid: -1, host: "", token: text }, age }; // damaged: only its age counts
    }
  } catch {
    return null;
  }
}
