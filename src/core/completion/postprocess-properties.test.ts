import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { extentAt } from "./extent.js";
import { rulesFor } from "./language.js";
import { postprocess } from "./postprocess.js";

describe("post-processing: properties", () => {
  const piece = fc.string({ unit: fc.constantFrom("a", "b", " ", "\n", "(", ")", "{", "}", '"', "\t", "<|", "é", "😀"), maxLength: 60 });
  const context = (prefix: string, suffix: string) => {
    const rules = rulesFor("typescript");
    return { prefix, suffix, rules, extent: extentAt({ prefix, suffix }, rules), indentation: "spaces" as const, tabSize: 2 };
  };
  it("never leaves blanks alone, blanks at a line's end or control characters", () => {
    fc.assert(
      fc.property(piece, piece, fc.string(), (prefix, suffix, raw) => {
        const { text, dropped } = postprocess(raw, context(prefix, suffix));
        assert.equal(text.trim() === "", dropped !== null);
        // Blanks part an answer from what stands behind it, and a line feed brings a closing bracket onto its line.
        if (/^(\s|$)/.test(suffix)) assert.equal(text, text.trimEnd());
        // biome-ignore lint/suspicious/noControlCharactersInRegex: the point of the test
        assert.doesNotMatch(text, /[\u0000-\u0008\u000e-\u001f\r]/);
      }),
    );
  });
  it("is one line where code follows the cursor", () => {
    fc.assert(
      fc.property(piece, piece, (prefix, raw) => {
        assert.doesNotMatch(postprocess(raw, context(prefix, "x")).text, /\n/);
      }),
    );
  });
});
