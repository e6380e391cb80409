import assert from "node:assert/strict";
import { test } from "node:test";
import type { CalibrateProgress, HeadScore } from "../../protocol/engine.js";
import { ProgressThrottle } from "./progress.js";

const score = (layer: number, gain: number): HeadScore => ({ layer, head: 0, gain, halfWidth: 0, items: 1, state: "racing" });
const event = (done: number, heads: HeadScore[]): CalibrateProgress => ({
  part: "choose",
  done,
  total: 100,
  promptsPerSecond: 1,
  secondsLeft: null,
  forwardPasses: done,
  heads,
  best: null,
});

test("at most ten a second, the newest counts win, and no head is lost", () => {
  let now = 0;
  const told: CalibrateProgress[] = [];
  const throttle = new ProgressThrottle(
    (progress) => told.push(progress),
    () => now,
  );
  for (let i = 0; i < 100; i++) {
    throttle.add(event(i, [score(i % 30, i)]));
    now += 10;
  }
  throttle.flush();
  throttle.flush();
  assert.equal(told.length, 11);
  assert.equal(told.at(-1)?.done, 99);
  const last = new Map(told.flatMap(({ heads }) => heads).map(({ layer, gain }) => [layer, gain]));
  assert.equal(last.size, 30);
  for (const [layer, gain] of last) assert.ok(gain >= 70 && gain % 30 === layer);
});
