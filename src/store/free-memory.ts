// The one judge of free memory: what the extension promises in its lists and what the engine allocates must agree.
import { readFileSync } from "node:fs";
import { freemem, totalmem } from "node:os";

/** Bytes, as the system and the control group (container, systemd slice) tell them. */
export interface MemoryFacts {
  total: number;
  free: number;
  /** Limit of the control group and what it uses; null where there is none. */
  group: { limit: number; used: number } | null;
}

/** Bytes that a program may still take: the machine's free memory, or what the control group leaves where that is less. */
export function freeOf({ total, free, group }: MemoryFacts): number {
  const left = group && group.limit < total ? Math.max(0, group.limit - group.used) : total;
  return Math.min(free, left);
}

/** Bytes that this process may take now. */
export function availableMemory(): number {
  // Unset in the Node of older editors, in spite of its type; it counts the file cache as free where `freemem` does not.
  const { availableMemory: available, constrainedMemory: constrained } = process as Partial<typeof process>;
  const limit = constrained?.call(process) ?? 0;
  return freeOf({
    total: totalmem(),
    free: Math.max(freemem(), available?.call(process) ?? 0),
    group: limit > 0 ? { limit, used: groupUse() } : null,
  });
}

function groupUse(): number {
  try {
    return Number(readFileSync("/sys/fs/cgroup/memory.current", "utf8"));
  } catch {
    return process.memoryUsage.rss();
  }
}
