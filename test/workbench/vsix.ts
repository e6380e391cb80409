import { resolve } from "node:path";
import { packageExtension } from "../../scripts/commands/package.js";
import { buildContext } from "../../scripts/context.js";
import { findBrowser } from "../../scripts/fetch/workbench.js";

/** The package that the flows install: the real one but for the engine, which is this machine's own build. Made once per process. */
let packaged: Promise<string> | null = null;
export function vsix(): Promise<string> {
  // One that was made elsewhere can be tested as it is.
  if (process.env.ACT_VSIX) return Promise.resolve(resolve(process.env.ACT_VSIX));
  packaged ??= packageExtension(buildContext(resolve(".")), "native").then(({ file }) => file);
  return packaged;
}

/** Why the flows cannot run here, or false. */
export const missing =
  process.platform !== "linux"
    ? "the served workbench is for Linux"
    : findBrowser()
      ? false
      : "no Chromium: install one, or set ACT_CHROMIUM";
