import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { placeTokens } from "./place.js";

test("tokens of a prefix that was cut at its far end are found where they stand", () => {
  const tokens = ["<fim_prefix>", "b", " = ", "1\n", "c", "<fim_suffix>", "rest"];
  assert.deepEqual(placeTokens(tokens, "a = 0\nb = 1\nc"), [null, [6, 7], [7, 10], [10, 12], [12, 13], null, null]);
});

test("the source may stand in the prompt twice: the last place counts", () => {
  assert.deepEqual(placeTokens(["x = 1", "\n", "x = 1"], "x = 1"), [null, null, [0, 5]]);
});

test("a token with half a character is left out, the ones around it are not", () => {
  assert.deepEqual(placeTokens(["a", "\ufffd", "\ufffd", "b"], "aéb"), [null, null, null, [2, 3]]);
});

test("nothing in common, nothing placed", () => {
  assert.deepEqual(placeTokens(["x", "y"], "zz"), [null, null]);
  assert.deepEqual(placeTokens([], "zz"), []);
  assert.deepEqual(placeTokens(["x"], ""), [null]);
});

test("whatever way a text is cut into tokens, every token lies where its own text is", () => {
  fc.assert(
    fc.property(fc.array(fc.string({ minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 20 }), fc.nat(19), (tokens, from) => {
      const source = tokens.slice(Math.min(from, tokens.length - 1)).join("");
      const places = placeTokens(tokens, source);
      places.forEach((place, index) => {
        if (place) assert.equal(source.slice(...place), tokens[index]);
      });
      assert.deepEqual(places.at(-1), [source.length - (tokens.at(-1) as string).length, source.length]);
    }),
  );
});
