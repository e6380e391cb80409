// Which files of a folder git ignores, read without git: a folder that somebody else made may hold an ignore file that never ends.
import ignore, { type Ignore } from "ignore";
import { readTextInside, UnreadableFile } from "../text-file.js";

const MOST_BYTES = 1_000_000;

/** The ignore files of a folder and of those below it, as git reads them: the deepest that says something decides. */
export class IgnoreRules {
  private readonly rules = new Map<string, Promise<Ignore | null>>();

  constructor(private readonly root: string) {}

  /** @param relative path below the root with forward slashes; a folder ends in one */
  async ignores(relative: string): Promise<boolean> {
    const parts = relative.split("/").filter((part) => part !== "");
    if (parts.includes(".git")) return true;
    let ignored = this.verdict(await this.rulesOf(".git/info/exclude"), relative, false);
    for (let depth = 0; depth < parts.length; depth++) {
      const rules = await this.rulesOf([...parts.slice(0, depth), ".gitignore"].join("/"));
      const rest = parts.slice(depth).join("/") + (relative.endsWith("/") ? "/" : "");
      ignored = this.verdict(rules, rest, ignored);
    }
    return ignored;
  }

  private verdict(rules: Ignore | null, relative: string, before: boolean): boolean {
    const said = rules?.test(relative);
    return said?.ignored ? true : said?.unignored ? false : before;
  }

  private rulesOf(file: string): Promise<Ignore | null> {
    let rules = this.rules.get(file);
    if (!rules) {
      rules = readTextInside(this.root, file, { most: MOST_BYTES }).then(
        (text) => ignore().add(text),
        (error: unknown) => {
          if (error instanceof UnreadableFile) return null;
          throw error;
        },
      );
      this.rules.set(file, rules);
    }
    return rules;
  }
}
