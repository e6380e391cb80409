import assert from "node:assert/strict";
import { test } from "node:test";
import { agreement } from "./effects.js";
import { effectsToCsv, effectsToPng, effectsToSvg } from "./effects-map.js";

const pair = (estimated: number, real: number) => ({ estimated, real });

test("agreement of estimates with what was measured", () => {
  const exact = agreement([pair(1, 2), pair(-1, -2), pair(0.5, 1), pair(0, 0)]);
  assert.deepEqual(exact, { pairs: 4, correlation: 1, slope: 2, signAgreement: 1 });
  const opposed = agreement([pair(1, -1), pair(-1, 1), pair(0.1, 0.1), pair(-0.1, -0.1)]);
  assert.ok((opposed.correlation as number) < -0.9);
  assert.equal(opposed.signAgreement, 0); // the small half is not asked
});

test("what cannot be correlated is null, not NaN", () => {
  assert.deepEqual(agreement([]), { pairs: 0, correlation: null, slope: null, signAgreement: null });
  assert.equal(agreement([pair(1, 1), pair(1, 2)]).correlation, null);
});

test("effects as picture and table", () => {
  const effects = [
    [0.5, -0.25],
    [0, 0.125],
    [-0.5, 0],
  ];
  assert.equal(effectsToCsv(effects), "layer,head,effect\n0,0,0.5\n0,1,-0.25\n1,0,0\n1,1,0.125\n2,0,-0.5\n2,1,0\n");
  const png = effectsToPng(effects);
  assert.deepEqual(
    [...png.slice(1, 4)],
    [..."PNG"].map((letter) => letter.charCodeAt(0)),
  );
  const width = new DataView(png.buffer, png.byteOffset).getUint32(16);
  assert.equal(width % 3, 0);
  const svg = effectsToSvg(effects, "a < b", "model");
  assert.match(svg, /a &lt; b/);
  assert.equal(svg.match(/<title>layer/g)?.length, 6);
  assert.doesNotMatch(effectsToSvg([[0, 0]], "t", "s"), /NaN/);
});
