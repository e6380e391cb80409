// The entries under changes/, one file per change, which a release merges into CHANGELOG.md.
import fs from "node:fs/promises";
import path from "node:path";
import { ActError } from "../../src/protocol/errors.js";

const KINDS = ["added", "changed", "fixed", "removed"] as const;

export interface Change {
  file: string;
  kind: (typeof KINDS)[number];
  text: string;
}

/** @throws ActError `data` naming the file whose first line is not `kind: sentence` */
export async function readChanges(root: string): Promise<Change[]> {
  const folder = path.join(root, "changes");
  const names = (await fs.readdir(folder)).filter((name) => name.endsWith(".md") && name !== "README.md").sort();
  return await Promise.all(
    names.map(async (name) => {
      const content = (await fs.readFile(path.join(folder, name), "utf8")).trim();
      const [, kind, text = ""] = /^(\w+): (\S[\s\S]*)$/.exec(content) ?? [];
      const known = KINDS.find((one) => one === kind);
      if (!known)
        throw new ActError("data", `changes/${name} must begin with one of ${KINDS.map((one) => `"${one}: "`).join(", ")} and a sentence.`);
      return { file: `changes/${name}`, kind: known, text };
    }),
  );
}

/** CHANGELOG.md with a section for the release on top. @param day as YYYY-MM-DD */
export function mergeChanges(changelog: string, version: string, day: string, changes: readonly Change[]): string {
  const [, head = "", rest = ""] = /^(# .*?\n\n)([\s\S]*)$/.exec(changelog) ?? [];
  if (head === "") throw new ActError("data", "CHANGELOG.md must begin with its title and an empty line.");
  const sections = KINDS.flatMap((kind) => {
    const entries = changes.filter((change) => change.kind === kind).map(({ text }) => `- ${text.replaceAll("\n", "\n  ")}`);
    return entries.length > 0 ? [`### ${kind.slice(0, 1).toUpperCase()}${kind.slice(1)}\n\n${entries.join("\n")}\n`] : [];
  });
  return `${head}## ${version} (${day})\n\n${sections.join("\n")}\n${rest}`;
}
