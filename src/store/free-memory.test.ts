import assert from "node:assert/strict";
import { test } from "node:test";
import { availableMemory, freeOf } from "./free-memory.js";

test("free is what the machine has, or what the control group leaves where that is less", () => {
  assert.equal(freeOf({ total: 16, free: 9, group: null }), 9);
  assert.equal(freeOf({ total: 16, free: 9, group: { limit: 8, used: 3 } }), 5);
  assert.equal(freeOf({ total: 16, free: 2, group: { limit: 8, used: 3 } }), 2);
  assert.equal(freeOf({ total: 16, free: 9, group: { limit: 8, used: 12 } }), 0);
  // "No limit" is told as a number larger than the machine.
  assert.equal(freeOf({ total: 16, free: 9, group: { limit: 2 ** 60, used: 3 } }), 9);
});

test("this machine has memory", () => {
  assert.ok(availableMemory() > 0);
});
