import type { Conversation } from "../../protocol/chat.js";

/** One conversation as it was when it was last read or written here, as it is on disk now, and as it is here. Null: not there. */
export interface Versions {
  base: Conversation | null;
  disk: Conversation | null;
  mine: Conversation;
}

/**
 * A conversation that two windows have written to: the turns of both are kept, those of the other window before the new ones of this. What
 * only one of them changed or removed is changed or removed; where both did, this one's version counts.
 * Null where the other window has deleted it and nothing was changed here.
 */
export function mergeConversation({ base, disk, mine }: Versions): Conversation | null {
  if (!disk) return base && same(base, mine) ? null : mine;
  if (!base) return { ...mine, turns: mergeItems([], disk.turns, mine.turns), queue: mergeItems([], disk.queue, mine.queue) };
  const pick = <K extends keyof Conversation>(key: K): Conversation[K] => (same(mine[key], base[key]) ? disk[key] : mine[key]);
  return {
    ...mine,
    title: pick("title"),
    act: pick("act"),
    draft: pick("draft"),
    attachments: pick("attachments"),
    editing: pick("editing"),
    updated: Math.max(mine.updated, disk.updated),
    turns: mergeItems(base.turns, disk.turns, mine.turns),
    queue: mergeItems(base.queue, disk.queue, mine.queue),
  };
}

/**
 * Takes into `here` what a merge brought, without touching what has changed here since `sent` was handed to it: an answer may be streaming into
 * the objects that are here.
 */
export function adoptMerge(here: Conversation, sent: Conversation, merged: Conversation): void {
  for (const key of ["title", "act", "draft", "attachments", "editing"] as const)
    if (same(here[key], sent[key]) && !same(here[key], merged[key])) Object.assign(here, { [key]: merged[key] });
  here.updated = Math.max(here.updated, merged.updated);
  here.turns = adoptItems(here.turns, sent.turns, merged.turns);
  here.queue = adoptItems(here.queue, sent.queue, merged.queue);
}

function mergeItems<T extends { id: string }>(base: readonly T[], disk: readonly T[], mine: readonly T[]): T[] {
  const [was, here, there] = [byId(base), byId(mine), byId(disk)];
  const kept = disk.flatMap((item) => {
    const before = was.get(item.id);
    const own = here.get(item.id);
    if (own) return [before && same(own, before) ? item : own];
    // Removed here; kept where the other window has gone on with it, or has it new.
    return before && same(item, before) ? [] : [item];
  });
  const added = mine.filter((item) => {
    if (there.has(item.id)) return false;
    const before = was.get(item.id);
    return !before || !same(item, before);
  });
  return [...kept, ...added];
}

function adoptItems<T extends { id: string }>(here: T[], sent: readonly T[], merged: readonly T[]): T[] {
  const [now, was, all] = [byId(here), byId(sent), byId(merged)];
  const result = merged.flatMap((item) => {
    const own = now.get(item.id);
    if (!own) return was.has(item.id) ? [] : [item];
    // An object that holds the same already is left alone: an answer may be streaming into it.
    if (same(own, was.get(item.id)) && !same(own, item)) Object.assign(own, item);
    return [own];
  });
  return [...result, ...here.filter(({ id }) => !all.has(id) && !was.has(id))];
}

function byId<T extends { id: string }>(items: readonly T[]): Map<string, T> {
  return new Map(items.map((item) => [item.id, item]));
}

/** Whether two values hold the same, whatever the order of their fields: what was read from disk has that of its schema. */
export function same(a: unknown, b: unknown): boolean {
  return JSON.stringify(a, sorted) === JSON.stringify(b, sorted);
}

function sorted(_key: string, value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}
