import path from "node:path";
import { commands } from "../../src/cli/commands.js";
import { manual } from "../../src/cli/help.js";
import { writeFileAtomic } from "../../src/store/atomic.js";
import type { BuildContext } from "../context.js";

/** Writes the pages that are made from tables in the code. */
export async function docs(context: BuildContext): Promise<number> {
  await writeFileAtomic(path.join(context.root, "docs", "act.md"), manual(commands));
  return 0;
}
