import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import * as v from "valibot";
import { CalibrateSnapshotSchema, HEAD_STATES, PARTS } from "../../protocol/calibrate-panel.js";
import type { CalibrateProgress } from "../../protocol/engine.js";
import { finishSnapshot, foldProgress, percentOf, startSnapshot } from "./snapshot.js";

const PLACE = { kind: "tasks", tasks: ["sst2"] } as const;

const start = () => startSnapshot({ ...PLACE, tasks: [...PLACE.tasks] }, 4, 3, 1000);

function event(over: Partial<CalibrateProgress>): CalibrateProgress {
  return { part: "choose", done: 1, total: 10, promptsPerSecond: 5, secondsLeft: 9, forwardPasses: 3, heads: [], best: null, ...over };
}

const events = fc.array(
  fc.record({
    part: fc.constantFrom(...PARTS),
    done: fc.nat(10),
    total: fc.constant(10),
    promptsPerSecond: fc.constant(1),
    secondsLeft: fc.constant(null),
    forwardPasses: fc.nat(1000),
    heads: fc.array(
      fc.record({
        layer: fc.nat(5),
        head: fc.nat(5),
        gain: fc.float({ noNaN: true, min: -1, max: 1 }),
        halfWidth: fc.constant(0.5),
        items: fc.nat(99),
        state: fc.constantFrom("racing", "dropped", "kept", "never-live" as const),
      }),
      { maxLength: 5 },
    ),
    best: fc.constant(null),
  }) as fc.Arbitrary<CalibrateProgress>,
  { maxLength: 20 },
);

test("any run of events folds to a snapshot that the panel accepts, with the last score of every head", () => {
  fc.assert(
    fc.property(events, (run) => {
      const snapshot = run.reduce(foldProgress, start());
      assert.ok(v.safeParse(CalibrateSnapshotSchema, snapshot).success);
      const last = new Map(run.flatMap((one) => one.heads).map((score) => [`${score.layer},${score.head}`, score]));
      for (let layer = 0; layer < 4; layer++) {
        for (let head = 0; head < 3; head++) {
          const at = layer * 3 + head;
          const score = last.get(`${layer},${head}`);
          assert.equal(snapshot.scores.states[at], score ? HEAD_STATES.indexOf(score.state) : 0);
          if (score) assert.equal(snapshot.scores.gain[at], Math.fround(score.gain));
          else assert.ok(Number.isNaN(snapshot.scores.gain[at]));
        }
      }
    }),
  );
});

test("an event that is told twice changes nothing the second time", () => {
  fc.assert(
    fc.property(events, (run) => {
      const snapshot = run.reduce(foldProgress, start());
      const last = run.at(-1);
      if (last) assert.deepEqual(foldProgress(snapshot, last), snapshot);
    }),
  );
});

test("folding leaves the snapshot before it as it was", () => {
  const before = start();
  const copy = structuredClone(before);
  foldProgress(before, event({ heads: [{ layer: 1, head: 1, gain: 0.5, halfWidth: 0.1, items: 8, state: "kept" }] }));
  assert.deepEqual(before, copy);
});

test("a part is over when all of it is done or a later part reports", () => {
  const choosing = foldProgress(start(), event({ part: "choose", done: 5 }));
  assert.deepEqual(
    choosing.parts.map((part) => part.finished),
    [true, false, false, false],
  );
  const confirmed = foldProgress(choosing, event({ part: "confirm", done: 10 }));
  assert.deepEqual(
    confirmed.parts.map((part) => part.finished),
    [true, true, true, true],
  );
  assert.deepEqual(
    confirmed.parts.map((part) => part.done),
    [0, 5, 0, 10],
  );
});

test("the best set so far stays when an event has none, and a finished search has no time left", () => {
  const best = { name: "margin", heads: 4, difference: 0.1, interval: [0, 0.2] as [number, number] };
  const snapshot = foldProgress(foldProgress(start(), event({ best })), event({ done: 2 }));
  assert.deepEqual(snapshot.best, best);
  assert.equal(finishSnapshot(snapshot).secondsLeft, 0);
});

test("a part that the verdict made unnecessary is not called finished", () => {
  // Baselines are told in every part.
  const events = [event({ part: "validate", done: 10, total: 10 }), event({ part: "baseline", done: 3, total: 3 })];
  const validated = finishSnapshot(events.reduce(foldProgress, start()));
  assert.deepEqual(
    validated.parts.map((part) => part.finished),
    [true, true, true, false],
  );
});

test("percent: time spent of all the time, never falling, never 100 before the end", () => {
  assert.equal(percentOf(0, 30_000, null, null), null);
  assert.equal(percentOf(0, 30_000, 30, null), 50);
  assert.equal(percentOf(0, 40_000, 120, 50), 50);
  assert.equal(percentOf(0, 60_000, 0, 50), 99);
});
