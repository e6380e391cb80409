// `release VERSION`: version, changelog and what a published package must name. It changes files and commits nothing.
import fs from "node:fs/promises";
import path from "node:path";
import { ActError } from "../../src/protocol/errors.js";
import { writeFileAtomic } from "../../src/store/atomic.js";
import type { BuildContext } from "../context.js";
import { mergeChanges, readChanges } from "../lib/changes.js";

export async function release(context: BuildContext, args: string[]): Promise<number> {
  const [version = "", ...rest] = args;
  if (!/^\d+\.\d+\.\d+$/.test(version) || rest.length > 0) throw new ActError("usage", "Give the new version, for example: release 1.2.0.");
  const manifestFile = path.join(context.root, "package.json");
  const manifest = await fs.readFile(manifestFile, "utf8");
  assertPublishable(JSON.parse(manifest));
  const changes = await readChanges(context.root);
  if (changes.length === 0) throw new ActError("usage", "There is nothing to release: changes/ holds no entry.");
  const changelogFile = path.join(context.root, "CHANGELOG.md");
  const day = new Date().toISOString().slice(0, 10);
  await writeFileAtomic(changelogFile, mergeChanges(await fs.readFile(changelogFile, "utf8"), version, day, changes));
  for (const file of [manifestFile, path.join(context.root, "package-lock.json")])
    await writeFileAtomic(file, withVersion(await fs.readFile(file, "utf8"), version));
  for (const { file } of changes) await fs.rm(path.join(context.root, file));
  console.log(`${version}: ${changes.length} changes are in CHANGELOG.md. Read it, run npm test, commit, and tag v${version}.`);
  return 0;
}

/** @throws ActError naming the field that still holds a placeholder */
export function assertPublishable(manifest: { repository?: { url?: string }; bugs?: { url?: string }; homepage?: string }): void {
  const fields = { "repository.url": manifest.repository?.url, "bugs.url": manifest.bugs?.url, homepage: manifest.homepage };
  for (const [name, value] of Object.entries(fields))
    if (!value || new URL(value.replace(/^git\+/, "")).hostname.endsWith(".invalid"))
      throw new ActError(
        "usage",
        `package.json's ${name} is a placeholder (${value ?? "missing"}); name the real address before a release.`,
      );
}

/** The first "version" of a manifest, and in a lock file that of the root package too. */
function withVersion(text: string, version: string): string {
  const data = JSON.parse(text);
  data.version = version;
  if (data.packages?.[""]) data.packages[""].version = version;
  return `${JSON.stringify(data, null, 2)}\n`;
}
