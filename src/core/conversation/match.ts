/**
 * How well a query fits a name or path, as a pick list judges it: its letters in their order, better at the beginning of a word, after each
 * other, and in the last part of a path. Null where it does not fit.
 */
export function scoreOf(query: string, name: string): number | null {
  const wanted = query.toLowerCase();
  const text = name.toLowerCase();
  if (wanted === "") return 0;
  const whole = text.lastIndexOf(wanted);
  const file = text.lastIndexOf("/") + 1;
  if (whole >= 0) return 100 + wanted.length * 4 + (whole >= file ? 20 : 0) + (whole === file || startsWord(name, whole) ? 20 : 0);
  let score = 0;
  let at = -1;
  for (const letter of wanted) {
    const next = text.indexOf(letter, at + 1);
    if (next < 0) return null;
    score += next === at + 1 ? 3 : startsWord(name, next) ? 2 : 0;
    at = next;
  }
  return score;
}

function startsWord(name: string, at: number): boolean {
  const before = name[at - 1];
  return before === undefined || /[^a-zA-Z0-9]/.test(before) || (/[a-z]/.test(before) && /[A-Z]/.test(name[at] ?? ""));
}
