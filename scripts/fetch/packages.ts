import { existsSync } from "node:fs";
import process from "node:process";
import { ActError } from "../../src/protocol/errors.js";
import { exec, isOnPath } from "../lib/exec.js";
import { Progress } from "../lib/progress.js";

export interface Tool {
  /** A command that proves it is there, or a file for libraries. */
  command?: string;
  file?: string;
  /** Its Debian package. */
  debian: string;
}

let updated = false;

/**
 * Makes sure that Debian packages are there. As root on Debian or Ubuntu they are installed; elsewhere a required one ends the command
 * with the exact line to run, and an optional one is answered with false.
 */
export async function ensureTools(tools: Tool[], why: string, { required }: { required: boolean }): Promise<boolean> {
  const missing: Tool[] = [];
  for (const tool of tools) {
    const present = tool.file ? existsSync(tool.file) : await isOnPath(tool.command ?? tool.debian);
    if (!present) missing.push(tool);
  }
  if (missing.length === 0) return true;
  const names = missing.map((tool) => tool.debian);
  if (process.platform === "linux" && process.getuid?.() === 0 && existsSync("/usr/bin/apt-get")) {
    const progress = new Progress(`Installing ${names.join(", ")} (${why})`);
    const env = { DEBIAN_FRONTEND: "noninteractive" };
    try {
      if (!updated) await exec("apt-get", ["update"], { env });
      updated = true;
      await exec("apt-get", ["install", "-y", "--no-install-recommends", ...names], { env, onLine: (line) => progress.update(line) });
      progress.done();
      return true;
    } catch (error) {
      progress.done("failed");
      if (required) throw error;
      return false;
    }
  }
  if (!required) return false;
  throw new ActError(
    "usage",
    `${why} needs ${names.join(", ")}. Install with: sudo apt-get install -y --no-install-recommends ${names.join(" ")}`,
  );
}
