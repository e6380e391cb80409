/** Estimated effects of single heads beside measured ones. Pure. */

/** Of one (prompt, head) pair: what the gradient says and what an evaluation with that head alone measured. */
export interface EffectPair {
  estimated: number;
  real: number;
}

export interface Agreement {
  pairs: number;
  /** Pearson; null where there is nothing to correlate. */
  correlation: number | null;
  /** Least squares through the means: real = slope * estimated + constant. */
  slope: number | null;
  /** Share of pairs of equal sign, among the half with the larger measured effects. */
  signAgreement: number | null;
}

export function agreement(pairs: readonly EffectPair[]): Agreement {
  const n = pairs.length;
  if (n < 2) return { pairs: n, correlation: null, slope: null, signAgreement: null };
  const mean = (of: (pair: EffectPair) => number) => pairs.reduce((sum, pair) => sum + of(pair), 0) / n;
  const x = mean(({ estimated }) => estimated);
  const y = mean(({ real }) => real);
  let xx = 0;
  let yy = 0;
  let xy = 0;
  for (const { estimated, real } of pairs) {
    xx += (estimated - x) ** 2;
    yy += (real - y) ** 2;
    xy += (estimated - x) * (real - y);
  }
  const larger = [...pairs].sort((a, b) => Math.abs(b.real) - Math.abs(a.real)).slice(0, Math.ceil(n / 2));
  return {
    pairs: n,
    correlation: xx > 0 && yy > 0 ? xy / Math.sqrt(xx * yy) : null,
    slope: xx > 0 ? xy / xx : null,
    signAgreement: larger.filter(({ estimated, real }) => Math.sign(estimated) === Math.sign(real)).length / larger.length,
  };
}
