// @ts-check
import fs from "node:fs/promises";
import path from "node:path";

/**
 * Makes a folder and the ones above it. fs.mkdir's own `recursive` never returns where a parent exists but takes no entries (in /proc).
 * @param {string} folder
 * @returns {Promise<void>}
 */
export async function makeFolder(folder) {
  try {
    await fs.mkdir(folder);
  } catch (error) {
    const { code } = /** @type {NodeJS.ErrnoException} */ (error);
    if (code === "EEXIST" && (await fs.stat(folder)).isDirectory()) return;
    const parent = path.dirname(folder);
    if (code !== "ENOENT" || parent === folder || (await exists(parent))) throw error;
    await makeFolder(parent);
    await makeFolder(folder);
  }
}

/** @param {string} file */
async function exists(file) {
  return await fs.stat(file).then(
    () => true,
    () => false,
  );
}
