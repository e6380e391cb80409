import { execFileSync } from "node:child_process";
import fs from "node:fs";

/** Files of the repository: tracked, and new ones that git does not ignore. Relative to the root, which is the working directory. */
export function tracked(): string[] {
  const list = execFileSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], { encoding: "utf8" });
  return [...new Set(list.split("\0"))].filter((file) => file !== "" && fs.existsSync(file)).sort();
}

/** Our TypeScript. */
export function sources(): string[] {
  return tracked().filter((file) => /^(src|webview|scripts|test)\/.*\.ts$/.test(file));
}
