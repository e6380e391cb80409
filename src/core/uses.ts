/** What a head set may be switched on for: only the use that it was measured on, and only where it helps there. Pure. */
import type { Evidence, HeadSet, Use } from "../protocol/calibration.js";

export const USES: readonly Use[] = ["completions", "chat", "task"];

/** How each use is called in a sentence. */
export const USE_NAMES: Record<Use, string> = { completions: "completions", chat: "chat", task: "task prompts" };

/**
 * `helps`: the confirmation's interval lies above zero and no other measure and none of its tasks got surely worse. `harms`: something got
 * surely worse. `does-not-help`: measured, and no sure gain. `no-evidence`: not measured on this use.
 */
export type Standing = "helps" | "does-not-help" | "harms" | "no-evidence";

/** What is known about a head set on one use. A file's own word that it is on counts for nothing; that it is off does. */
export function standingOf(set: Pick<HeadSet, "use" | "heads" | "on" | "evidence">, use: Use): Standing {
  const { evidence } = set;
  if (set.use !== use || !evidence || evidence.confirmedOn < 1 || !isOfUse(evidence, use)) return "no-evidence";
  const parts = [evidence, ...(evidence.measures ?? []), ...(evidence.tasks ?? [])];
  if (parts.some(({ interval: [, high] }) => high < 0)) return "harms";
  return set.on !== false && set.heads.length > 0 && evidence.interval[0] > 0 ? "helps" : "does-not-help";
}

/** Code is measured by the likelihood of the true tokens, a task by right answers. Sets of schema 1 do not say their use; their measure does. */
function isOfUse({ metric }: Evidence, use: Use): boolean {
  if (use === "chat") return true;
  return (metric === "log-likelihood") === (use === "completions");
}

/** Why a set is not switched on for a use by itself, in a sentence; null where it helps. */
export function objection(set: Pick<HeadSet, "use" | "heads" | "on" | "evidence">, use: Use): string | null {
  const { evidence } = set;
  const measured = evidence && evidence.confirmedOn > 0 ? ` It was measured on ${evidence.task}.` : " It came without evidence.";
  switch (standingOf(set, use)) {
    case "helps":
      return null;
    case "no-evidence":
      return `Nothing was measured about what this set does to ${USE_NAMES[use]}.${measured}`;
    case "harms":
      return `This set makes ${USE_NAMES[use]} worse, as far as was measured on ${evidence?.task}.`;
    case "does-not-help":
      return `This set does not surely help ${USE_NAMES[use]}, as far as was measured on ${evidence?.task}.`;
  }
}
