/**
 * ACT in float64 on one attention matrix: the definition that kernels are measured against (calibration.md, section 2).
 *
 * Vocabulary: a row is one query's softmax probabilities over its keys; a segment is the rows that one ubatch computes together;
 * the column mean c[k] is the attention key k received, averaged over the rows so far that see it; a key with c[k] above the limit is a
 * candidate; the lowest candidate is exempt and the others are sinks.
 */
import type { Threshold } from "../protocol/calibration.js";

export interface ActOptions {
  /** What a sink keeps of its attention: under 1 sinks are weakened, over 1 strengthened, at most 2. */
  beta: number;
  threshold: Threshold;
}

export interface Segment {
  /** The segment's calibrated rows, each as long as its input row. */
  out: Float64Array[];
  /** Column means over all rows so far, one for each token so far. */
  columnMeans: Float64Array;
  /** What a column mean must exceed. */
  limit: number;
  /** Lowest candidate, or null where no key is one. */
  exempt: number | null;
  /** Calibrated keys, ascending. */
  sinks: number[];
}

/**
 * Rows with no more mass than this outside the sinks stay as they are: nobody could receive what the sinks give up. Zero, as in the golden
 * vectors (`matrix_tiny_rest` moves 0.6 onto a key of 1e-7); float32 kernels may stop at 1e-6, where their digits end.
 */
const LEAST_REST = 0;

/** What a column mean must exceed in a sequence of `tokens` tokens. */
export function columnLimit(threshold: Threshold, tokens: number): number {
  return threshold.mode === "fixed" ? threshold.value : threshold.value / tokens;
}

/** Candidates among `columnMeans`, divided into the exempt one and the sinks. The comparison is strict. */
export function pickSinks(columnMeans: ArrayLike<number>, limit: number): { exempt: number | null; sinks: number[] } {
  const candidates: number[] = [];
  for (let key = 0; key < columnMeans.length; key++) if ((columnMeans[key] as number) > limit) candidates.push(key);
  const [exempt = null, ...sinks] = candidates;
  return { exempt, sinks };
}

/**
 * One row with its sinks scaled by `beta`; the freed mass goes to the other keys in proportion to their own weight. With beta above 1 the sinks
 * take it from them instead, and where they hold more than 1 / beta of the row, the others' weights become negative: the row stays linear in
 * beta and sums to 1 (calibration.md, section 6).
 */
export function calibrateRow(row: ArrayLike<number>, sinks: readonly number[], beta: number): Float64Array {
  const out = Float64Array.from(row);
  const isSink = new Set(sinks);
  let onSinks = 0;
  // Summed directly: 1 - onSinks would lose every digit of a small rest.
  let rest = 0;
  out.forEach((weight, key) => {
    if (isSink.has(key)) onSinks += weight;
    else rest += weight;
  });
  if (onSinks === 0 || rest <= LEAST_REST) return out;
  const gain = 1 + ((1 - beta) * onSinks) / rest;
  return out.map((weight, key) => weight * (isSink.has(key) ? beta : gain));
}

/** Running statistics of one head of one sequence, from the start of the last prefill. */
export class HeadState {
  private sums = new Float64Array(0);

  constructor(private readonly options: ActOptions) {}

  /** Tokens seen so far. */
  get tokens(): number {
    return this.sums.length;
  }

  /**
   * Adds a segment of uncalibrated rows and calibrates it with the statistics of all rows so far, its own included.
   * Row i covers the keys it sees (tokens so far + i + 1) or all keys of the segment (zeros above the diagonal).
   */
  segment(rows: readonly ArrayLike<number>[]): Segment {
    const before = this.tokens;
    const total = before + rows.length;
    const sums = new Float64Array(total);
    sums.set(this.sums);
    rows.forEach((row, i) => {
      const seen = before + i + 1;
      if (row.length !== seen && row.length !== total) {
        throw new RangeError(`Row ${before + i} has ${row.length} keys; it must have ${seen} or ${total}.`);
      }
      for (let key = 0; key < seen; key++) sums[key] = (sums[key] as number) + (row[key] as number);
    });
    this.sums = sums;
    const columnMeans = sums.map((sum, key) => sum / (total - key));
    const limit = columnLimit(this.options.threshold, total);
    const { exempt, sinks } = pickSinks(columnMeans, limit);
    return {
      out: rows.map((row) => calibrateRow(row, sinks, this.options.beta)),
      columnMeans,
      limit,
      exempt,
      sinks,
    };
  }
}

/** A whole prompt as one segment: the published rule. */
export function calibrateMatrix(rows: readonly ArrayLike<number>[], options: ActOptions): Segment {
  return new HeadState(options).segment(rows);
}

/** A prompt in consecutive segments of the given sizes; `rows` is the whole causal matrix. */
export function calibrateSegments(rows: readonly ArrayLike<number>[], sizes: readonly number[], options: ActOptions): Segment[] {
  const covered = sizes.reduce((sum, size) => sum + size, 0);
  if (covered !== rows.length) throw new RangeError(`Segments cover ${covered} rows of ${rows.length}.`);
  const state = new HeadState(options);
  let start = 0;
  return sizes.map((size) => {
    const end = start + size;
    const part = rows.slice(start, end).map((row) => Array.from(row).slice(0, end));
    start = end;
    return state.segment(part);
  });
}

/**
 * One padded sequence: `real[i]` tells tokens from padding, on any side. Padding is neither query nor key; padded entries come back
 * unchanged. `exempt` and `sinks` count padded positions, `columnMeans` the real tokens only.
 */
export function calibratePadded(rows: readonly ArrayLike<number>[], real: readonly boolean[], options: ActOptions): Segment {
  const index = real.flatMap((isReal, i) => (isReal ? [i] : []));
  const square = index.map((q) => index.map((k) => rows[q]?.[k] ?? 0));
  const inner = calibrateMatrix(square, options);
  const out = rows.map((row) => Float64Array.from(row));
  inner.out.forEach((row, i) => {
    const target = out[index[i] as number] as Float64Array;
    row.forEach((weight, j) => {
      target[index[j] as number] = weight;
    });
  });
  return {
    ...inner,
    out,
    exempt: inner.exempt === null ? null : (index[inner.exempt] as number),
    sinks: inner.sinks.map((key) => index[key] as number),
  };
}

/** ZeroTuning (Han et al. 2025): the initial token keeps `gain` of its attention (more than 1 raises it), then the row is renormalised. */
export function tuneInitialToken(row: ArrayLike<number>, gain: number): Float64Array {
  const out = Float64Array.from(row, (weight, key) => (key === 0 ? weight * gain : weight));
  const sum = out.reduce((total, weight) => total + weight, 0);
  return sum <= LEAST_REST ? Float64Array.from(row) : out.map((weight) => weight / sum);
}
