import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { TextStream } from "./text-stream.js";

/** A byte-level tokenizer: every token is one UTF-8 byte, the worst case for streaming. */
const bytes = (tokens: readonly number[]) => new TextDecoder().decode(Uint8Array.from(tokens));
const run = (text: string, stops: string[] = []) => {
  const stream = new TextStream(bytes, stops);
  const pieces: string[] = [];
  for (const byte of new TextEncoder().encode(text)) {
    const { text: piece, stopped } = stream.push(byte);
    pieces.push(piece);
    if (stopped) return { stream, pieces, stopped };
  }
  pieces.push(stream.end());
  return { stream, pieces, stopped: false };
};

test("property: the pieces join to the text, and no piece holds half a character", () => {
  fc.assert(
    fc.property(
      fc.string({ unit: "grapheme" }).filter((text) => !text.includes("\uFFFD")),
      (text) => {
        const { stream, pieces } = run(text);
        assert.equal(pieces.join(""), text);
        assert.equal(stream.text, text);
        assert.ok(!pieces.some((piece) => piece.includes("\uFFFD")));
      },
    ),
  );
});

test("property: a stop string ends the text before its first occurrence and nothing of it is shown", () => {
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom("a", "b", "c") }),
      fc.array(fc.string({ unit: fc.constantFrom("a", "b", "c"), minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 3 }),
      (text, stops) => {
        const { pieces, stopped } = run(text, stops);
        // The first stop to be complete ends the text; with one character a token that is the earliest end.
        let expected: string | null = null;
        for (let end = 1; end <= text.length && expected === null; end++) {
          const at = stops.map((stop) => text.slice(0, end).indexOf(stop)).filter((index) => index >= 0);
          if (at.length > 0) expected = text.slice(0, Math.min(...at));
        }
        assert.equal(stopped, expected !== null);
        assert.equal(pieces.join(""), expected ?? text);
      },
    ),
  );
});

test("bytes that are no character come out as replacement characters and do not hold up the rest", () => {
  const stream = new TextStream(bytes);
  let text = "";
  for (const byte of [0xf0, 0xf0, 0xf0, 0xf0, 0x41]) text += stream.push(byte).text;
  text += stream.end();
  assert.match(text, /\uFFFD/);
  assert.ok(text.endsWith("A"));
});

test("a generation that ends inside a character shows what there is", () => {
  const stream = new TextStream(bytes);
  stream.push(0x41);
  assert.equal(stream.push(0xf0).text, "");
  assert.equal(stream.end(), "\uFFFD");
});
