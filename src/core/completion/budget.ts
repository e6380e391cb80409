/** How the room for the text around the cursor is shared: one rule, in characters where the host cuts, in tokens where the engine does. */

/** Characters per token to reckon with before anything is tokenised; code has three to four. */
export const CHARACTERS_PER_TOKEN = 4;
/** The part of a prompt that pieces of related files may take. */
export const RELATED_SHARE = 0.4;
/** Characters around the cursor that related pieces are looked up by. */
export const NEAR = { before: 2000, after: 500 };
/** The part for the text before the cursor when both sides are long. */
const PREFIX_SHARE = 0.75;
/** A cut moves in steps of this part of its side: the start of a prompt stays while the user types, and the cells behind it with it. */
const STEPS = 8;

/** What each side gets of `room`. What one side does not need, the other may have. */
export function shares(room: number, before: number, after: number): { before: number; after: number } {
  const most = Math.ceil(room * PREFIX_SHARE);
  const suffix = Math.min(after, Math.max(room - most, room - before));
  return { before: Math.min(before, room - suffix), after: suffix };
}

/** Where to cut the front of `length` units so that at most `most` and more than three quarters of them stay (all where they fit). */
export function frontCut(length: number, most: number): number {
  const over = length - most;
  return over <= 0 ? 0 : Math.ceil(over / cutStep(most)) * cutStep(most);
}

/** Units between two places of a cut. */
export function cutStep(most: number): number {
  return Math.max(1, Math.floor(most / STEPS));
}
