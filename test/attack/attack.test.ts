// A short round of every attack; `node scripts/run.mjs attack` runs them for as long as one likes.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ATTACKS } from "./index.js";

for (const [name, attack] of Object.entries(ATTACKS))
  test(`${name}: ${attack.does}`, { timeout: 300_000 }, async () => {
    const report = await attack.run({ seed: 1, rounds: attack.shortRounds, until: performance.now() + 240_000, say: () => {} });
    assert.deepEqual(report.broken, []);
    assert.equal(report.rounds, attack.shortRounds, JSON.stringify(report.outcomes));
  });
