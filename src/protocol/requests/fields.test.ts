import assert from "node:assert/strict";
import { test } from "node:test";
import * as v from "valibot";
import { between, boundsOf, ContextSizeSchema, count, SeedSchema, ThreadsSchema, whole } from "./fields.js";

test("bounds are read from the schema that enforces them", () => {
  for (const schema of [ThreadsSchema, SeedSchema, ContextSizeSchema, between(0, 1), whole(3, 7), count]) {
    const { least, most, isWhole } = boundsOf(schema);
    assert.ok(least !== null && v.is(schema, least));
    assert.ok(!v.is(schema, least - 1));
    if (most !== null) assert.ok(v.is(schema, most) && !v.is(schema, most + 1));
    assert.equal(v.is(schema, least + 0.5), !isWhole);
  }
});

test("a number without an upper bound says so, and text has none", () => {
  assert.deepEqual(boundsOf(count), { least: 1, most: null, isWhole: true });
  assert.deepEqual(boundsOf(v.string()), { least: null, most: null, isWhole: false });
});
