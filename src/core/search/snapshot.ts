/** Folds the engine's progress events into the one picture of a search that the panel draws. Pure: returns a new snapshot. */
import { type CalibrateSnapshot, HEAD_STATES, PARTS, type SearchPlace } from "../../protocol/calibrate-panel.js";
import type { CalibrateProgress, HeadScore } from "../../protocol/engine.js";

export function startSnapshot(place: SearchPlace, layers: number, heads: number, startedAt: number): CalibrateSnapshot {
  const cells = layers * heads;
  return {
    place,
    startedAt,
    part: null,
    parts: PARTS.map((part) => ({ part, done: 0, total: 0, finished: false })),
    promptsPerSecond: 0,
    secondsLeft: null,
    forwardPasses: 0,
    best: null,
    scores: {
      layers,
      heads,
      gain: new Float32Array(cells).fill(Number.NaN),
      halfWidth: new Float32Array(cells).fill(Number.NaN),
      items: new Uint32Array(cells),
      states: new Uint8Array(cells),
    },
  };
}

/** Each event is complete for its part, so one that was lost, or told twice, leaves no mark. A part is over when a later one reports. */
export function foldProgress(snapshot: CalibrateSnapshot, event: CalibrateProgress): CalibrateSnapshot {
  const now = PARTS.indexOf(event.part);
  return {
    ...snapshot,
    part: event.part,
    parts: snapshot.parts.map((known, index) =>
      index === now
        ? { part: event.part, done: event.done, total: event.total, finished: event.total > 0 && event.done >= event.total }
        : { ...known, finished: known.finished || index < now },
    ),
    promptsPerSecond: event.promptsPerSecond,
    secondsLeft: event.secondsLeft,
    forwardPasses: Math.max(snapshot.forwardPasses, event.forwardPasses),
    best: event.best ?? snapshot.best,
    scores: event.heads.length === 0 ? snapshot.scores : foldScores(snapshot.scores, event.heads),
  };
}

/** The search is over: nothing is left to do and no part is running. Parts behind the last one that ever reported were not needed. */
export function finishSnapshot(snapshot: CalibrateSnapshot): CalibrateSnapshot {
  const reported = snapshot.parts.findLastIndex(({ total }) => total > 0);
  const last = reported < 0 ? PARTS.length : reported;
  return { ...snapshot, secondsLeft: 0, parts: snapshot.parts.map((part, index) => ({ ...part, finished: index <= last })) };
}

/**
 * How much of a search is done, in percent: the time spent of all the time it will take. Estimates get better and may grow; what was shown never
 * falls.
 * @param since milliseconds, when this run began; @param left seconds, null where not known yet
 */
export function percentOf(since: number, now: number, left: number | null, shown: number | null): number | null {
  if (left === null) return shown;
  const spent = Math.max(0, now - since) / 1000;
  const share = spent + left > 0 ? Math.floor((100 * spent) / (spent + left)) : 0;
  return Math.max(shown ?? 0, Math.min(99, share));
}

function foldScores(scores: CalibrateSnapshot["scores"], heads: readonly HeadScore[]): CalibrateSnapshot["scores"] {
  const next = {
    ...scores,
    gain: scores.gain.slice(),
    halfWidth: scores.halfWidth.slice(),
    items: scores.items.slice(),
    states: scores.states.slice(),
  };
  for (const { layer, head, gain, halfWidth, items, state } of heads) {
    if (layer >= scores.layers || head >= scores.heads) continue; // a head of another model cannot be drawn
    const at = layer * scores.heads + head;
    next.gain[at] = gain;
    next.halfWidth[at] = halfWidth;
    next.items[at] = items;
    next.states[at] = HEAD_STATES.indexOf(state);
  }
  return next;
}
