/** What one head's score says in a sentence. Pure. */
import { readable } from "../../src/core/picture/scale.js";
import { type CalibrateSnapshot, HEAD_STATES } from "../../src/protocol/calibrate-panel.js";
import type { Cell } from "../paint/hit.js";
import { measuredOn, signed } from "./words.js";

const WORDS: Record<(typeof HEAD_STATES)[number], string> = {
  unseen: "not looked at yet",
  racing: "still compared",
  dropped: "dropped",
  kept: "kept",
  "never-live": "no later sink in any prompt, so calibration cannot change it",
};

/** "Layer 4, head 2: score +0.0121 ± 0.0093 (95 %, n = 80) on sst2; kept." */
export function describeScore({ scores, place }: CalibrateSnapshot, { row, column }: Cell): string {
  const at = row * scores.heads + column;
  const state = HEAD_STATES[scores.states[at] as number] ?? "unseen";
  const name = `Layer ${row}, head ${column}`;
  if (state === "unseen" || state === "never-live" || Number.isNaN(scores.gain[at] as number)) return `${name}: ${WORDS[state]}.`;
  const half = readable(scores.halfWidth[at] as number);
  return `${name}: score ${signed(scores.gain[at] as number)} ± ${half} (95 %, n = ${scores.items[at]}) on ${measuredOn(place)}; ${WORDS[state]}.`;
}
