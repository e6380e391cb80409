/** The known name that a mistyped one is closest to, or null where none is near: at most a third of its letters differ. */
export function suggest(typed: string, known: readonly string[]): string | null {
  const ranked = known.map((name) => ({ name, distance: editDistance(typed.toLowerCase(), name.toLowerCase()) }));
  ranked.sort((one, other) => one.distance - other.distance);
  const best = ranked[0];
  return best && best.distance <= Math.max(1, Math.floor(best.name.length / 3)) ? best.name : null;
}

/** Levenshtein: insertions, deletions and replacements that turn one into the other. */
function editDistance(one: string, other: string): number {
  let row = Array.from({ length: other.length + 1 }, (_, i) => i);
  for (let i = 1; i <= one.length; i++) {
    const next = [i];
    for (let j = 1; j <= other.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (one[i - 1] === other[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[other.length] ?? 0;
}
