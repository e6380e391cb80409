// Inputs for GGML_OP_ACT as attention would leave them, and in float64 what the op must make of them (the mathematics are src/core/act.ts).
import { calibrateRow, pickSinks, tuneInitialToken } from "../../src/core/act.js";
import { integer, normal, type Random, random, shuffled } from "../../src/core/numbers/random.js";
import { type Entry, FLAG, type OpInput, packEntries } from "./op.js";

export type TensorType = "f32" | "f16" | "q8_0" | "q4_0";

/**
 * What the calibrated heads look at. `sharp`, `tiny rest`: so much mass on two sinks that the rest must be summed directly; `all`: so much that
 * the rows stay as they are; the others differ only in how many candidates the limit lets through.
 */
export type Sinks = "none" | "only the exempt" | "one" | "many" | "sharp" | "tiny rest" | "all";

/** ggml-act.h: rows with less mass outside the sinks stay as they are; with less than this all kernels sum it directly. */
const MIN_REST = 1e-9;
const DIRECT_REST = 1 / 8;

export interface Shape {
  /** Rows of each call; several calls run on one state. */
  rows: number[];
  /** Cells the kernel sees in each stream. */
  keys: number;
  heads: number;
  kvHeads: number;
  dk: number;
  dv: number;
  streams: number;
  typeK: TensorType;
  typeV: TensorType;
  typeMask: "f16" | "f32";
  transposedValues: boolean;
  /** The heads of a token side by side, as in llama.cpp's cache. */
  interleaved: boolean;
  softcap: number;
  maxBias: number;
  sinks: Sinks;
  /** running sums, row statistics, ZeroTuning on the initial token, or statistics alone */
  rule: "running" | "row" | "initial" | "watch";
  beta: number;
  /** Calibrated heads of each stream. */
  calibrated: number[][];
  /** Tokens in the cache before the first call: behind a reused prefix, or an earlier part of a long prompt. */
  past: number;
  /** Cells of the state beyond the ones the kernel sees, as in a cache that is longer than what is used of it. */
  spareCells: number;
  /** Tokens lie in their cells in any order, with free cells between. */
  scattered: boolean;
}

export interface Expected {
  /** [streams][rows][heads][dv] */
  o: Float64Array;
  entries: { slot: number; sums: Float64Array; exempt: number; sinks: number[]; calibrates: boolean }[];
  /** Largest |score| and largest factor that the correction multiplies attention's output with: what float32 errors scale with. */
  largestScore: number;
  largestGain: number;
  /** Whether a row's rest is so small that kernels sum its keys one by one. */
  direct: boolean;
}

/** Values on a grid that every tensor type stores without loss, so that no dequantisation has to be repeated here. */
const GRIDS: Record<TensorType, { step: number; low: number; high: number }> = {
  f32: { step: 1 / 256, low: -512, high: 512 },
  f16: { step: 1 / 256, low: -512, high: 512 },
  // ggml: d = max|x| / 127 and round(x/d)
  q8_0: { step: 1 / 64, low: -127, high: 127 },
  // ggml: d = (the value of largest magnitude) / -8, 16 levels
  q4_0: { step: 1 / 4, low: -8, high: 7 },
};
const BLOCK = 32;

/** How much attention the sinks draw: the score of a strong one. */
const STRENGTH: Record<Sinks, number> = { none: 2, "only the exempt": 2, one: 3, many: 2, sharp: 16, "tiny rest": 34, all: 75 };

/** What a strong key holds in dimension 0. */
const STRONG = -7 / 4;

/** One growing cache with the rows that come to it, call by call. */
export class World {
  private readonly rng: Random;
  private readonly k: Float32Array;
  private readonly v: Float32Array;
  /** cell of each position, by stream */
  private readonly cells: number[][];
  private readonly sums = new Map<number, Float64Array>();
  private tokens: number;
  private calls = 0;

  constructor(
    private readonly shape: Shape,
    seed: number,
  ) {
    this.rng = random(seed);
    this.tokens = shape.past;
    const { keys, kvHeads, streams, dk, dv } = shape;
    this.cells = Array.from({ length: streams }, () => {
      const all = Array.from({ length: keys }, (_, i) => i);
      return shape.scattered ? shuffled(all, this.rng) : all;
    });
    this.k = this.grid(shape.typeK, streams * kvHeads * keys, dk);
    this.v = this.grid(shape.typeV, streams * kvHeads * keys, dv);
    // Dimension 0 carries the sinks: queries hold a constant there, ordinary keys nothing, strong keys -7/4 and the initial token -1.
    for (let s = 0; s < streams; s++)
      for (let h = 0; h < kvHeads; h++)
        for (let p = 0; p < keys; p++)
          this.k[((s * kvHeads + h) * keys + this.cell(s, p)) * dk] = p === 0 ? -1 : p === 1 || p === 2 ? STRONG : 0;
  }

  /** The next call: its input, and what must come out. Limits are chosen between two column means, so that no rounding decides a sink. */
  next(device: string, threads: number, state: Float32Array): { input: OpInput; expected: Expected } {
    const { shape } = this;
    const { keys, heads, kvHeads, streams, dk, dv, rule, beta } = shape;
    const rows = shape.rows[this.calls++] ?? 0;
    const first = this.tokens;
    const last = first + rows - 1;
    this.tokens += rows;
    if (this.tokens > keys) throw new RangeError(`${this.tokens} tokens in ${keys} cells`);
    const group = heads / kvHeads;
    const scale = 1 / Math.sqrt(dk);

    const q = Float32Array.from({ length: streams * heads * rows * dk }, () => normal(this.rng));
    // a strong key scores STRENGTH
    for (let i = 0; i < q.length; i += dk) q[i] = STRENGTH[shape.sinks] / (STRONG * scale);

    const mask = new Float32Array(streams * rows * keys).fill(Number.NEGATIVE_INFINITY);
    const table = new Int32Array(streams * 3 * keys);
    for (let s = 0; s < streams; s++) {
      table.fill(-1, s * 3 * keys, (s * 3 + 1) * keys);
      for (let p = 0; p <= last; p++) {
        const cell = this.cell(s, p);
        table[s * 3 * keys + cell] = p;
        table[(s * 3 + 1) * keys + cell] = last - Math.max(p, shape.past) + 1;
        table[(s * 3 + 2) * keys + cell] = last - Math.max(p, first) + 1;
        for (let r = Math.max(0, p - first); r < rows; r++) mask[(s * rows + r) * keys + cell] = shape.maxBias > 0 ? p - (first + r) : 0;
      }
    }

    const o = Float32Array.from({ length: streams * rows * heads * dv }, () => normal(this.rng));
    const expected: Expected = { o: Float64Array.from(o), entries: [], largestScore: 1, largestGain: 1, direct: false };
    const entries: Entry[] = [];
    const n = last + 1; // keys by position from here on
    for (let s = 0; s < streams; s++)
      for (const h of shape.calibrated[s] ?? []) {
        const slot = entries.length;
        const kvHead = Math.floor(h / group);
        const slope = alibiSlope(h, heads, shape.maxBias);
        const A: Float64Array[] = [];
        const values = (p: number, d: number) => this.v[((s * kvHeads + kvHead) * keys + this.cell(s, p)) * dv + d] as number;
        for (let r = 0; r < rows; r++) {
          const scores = new Float64Array(first + r + 1);
          for (let p = 0; p < scores.length; p++) {
            let score = 0;
            const at = ((s * kvHeads + kvHead) * keys + this.cell(s, p)) * dk;
            const qAt = ((s * heads + h) * rows + r) * dk;
            for (let d = 0; d < dk; d++) score += (q[qAt + d] as number) * (this.k[at + d] as number);
            score *= scale;
            if (shape.softcap > 0) score = shape.softcap * Math.tanh(score / shape.softcap);
            scores[p] = score + slope * (shape.maxBias > 0 ? p - (first + r) : 0);
          }
          expected.largestScore = scores.reduce((most, x) => Math.max(most, Math.abs(x)), expected.largestScore);
          A.push(softmax(scores));
        }

        const segment = new Float64Array(n);
        for (const row of A)
          row.forEach((x, p) => {
            segment[p] = (segment[p] as number) + x;
          });
        const running = Float64Array.from(segment, (x, p) => x + (this.sums.get(slot)?.[p] ?? 0));
        if (rule !== "initial") this.sums.set(slot, running);
        const since = rule === "row" ? first : shape.past;
        const means = (rule === "row" ? segment : running).map((x, p) => x / (last - Math.max(p, since) + 1));
        const limit = chooseLimit(means, wantedCandidates(shape.sinks, n));
        const picked = rule === "initial" ? { exempt: null, sinks: [0] } : pickSinks(means, limit);
        const calibrates = rule !== "watch" && picked.sinks.length > 0;

        A.forEach((row, r) => {
          const attention = mix(row, values, dv);
          const at = ((s * rows + r) * heads + h) * dv;
          o.set(attention, at);
          let out: ArrayLike<number> = row;
          if (calibrates && rule === "initial") out = tuneInitialToken(row, beta);
          else if (calibrates) {
            const rest = row.reduce((sum, x, p) => (picked.sinks.includes(p) ? sum : sum + x), 0);
            if (rest > MIN_REST / 2 && rest < MIN_REST * 2)
              throw new RangeError(`A row's rest of ${rest} lies too close to GGML_ACT_MIN_REST.`);
            if (rest >= MIN_REST) {
              out = calibrateRow(row, picked.sinks, beta);
              if (rest < DIRECT_REST) expected.direct = true;
              else expected.largestGain = Math.max(expected.largestGain, (1 - beta * (1 - rest)) / rest);
            }
          }
          // a row that stays as it is must stay bit by bit what attention returned
          expected.o.set(out === row ? Float64Array.from(Float32Array.from(attention)) : mix(out, values, dv), at);
        });

        const flags = (this.calls === 1 ? FLAG.fresh : 0) | { running: 0, row: FLAG.row, initial: FLAG.initial, watch: FLAG.watch }[rule];
        entries.push({ stream: s, head: h, slot, flags, weight: beta, limit, row0: first });
        const sums = new Float64Array(keys);
        const kept = rule === "initial" ? new Float64Array(n) : running;
        kept.forEach((x, p) => {
          sums[this.cell(s, p)] = x;
        });
        expected.entries.push({
          slot,
          sums,
          exempt: picked.exempt === null ? -1 : this.cell(s, picked.exempt),
          sinks: picked.sinks.map((p) => this.cell(s, p)).sort((a, b) => a - b),
          calibrates,
        });
      }
    return {
      input: {
        device,
        threads,
        rows,
        keys,
        streams,
        heads,
        kvHeads,
        dk,
        dv,
        typeK: shape.typeK,
        typeV: shape.typeV,
        typeMask: shape.typeMask,
        transposedValues: shape.transposedValues,
        interleaved: shape.interleaved,
        scale,
        maxBias: shape.maxBias,
        softcap: shape.softcap,
        slots: entries.length,
        o,
        q,
        k: this.k,
        v: shape.transposedValues ? transposeValues(this.v, streams * kvHeads, keys, dv) : this.v,
        mask,
        keysTable: table,
        entries: packEntries(entries),
        state,
      },
      expected,
    };
  }

  /** A state as it is before the first call: what earlier prompts left in the slots must not matter. */
  dirtyState(): Float32Array {
    const cells = this.shape.keys + this.shape.spareCells;
    const slots = this.shape.calibrated.reduce((sum, heads) => sum + heads.length, 0);
    return Float32Array.from({ length: slots * (2 * cells + 2) }, () => integer(this.rng, 1000));
  }

  private cell(stream: number, position: number): number {
    return this.cells[stream]?.[position] as number;
  }

  private grid(type: TensorType, rows: number, width: number): Float32Array {
    const { step, low, high } = GRIDS[type];
    const values = new Float32Array(rows * width);
    for (let i = 0; i < values.length; i++) values[i] = Math.max(low, Math.min(high, Math.round((normal(this.rng) * 0.7) / step))) * step;
    // Each block needs its extreme value, from which ggml takes the step; it lies where no sink is written.
    if (type === "q8_0" || type === "q4_0")
      for (let i = 0; i < values.length; i += BLOCK) values[i + 1 + integer(this.rng, BLOCK - 1)] = low * step;
    return values;
  }
}

function softmax(scores: Float64Array): Float64Array {
  const top = scores.reduce((most, x) => Math.max(most, x), Number.NEGATIVE_INFINITY);
  const powers = scores.map((x) => Math.exp(x - top));
  const total = powers.reduce((sum, x) => sum + x, 0);
  return powers.map((x) => x / total);
}

function mix(row: ArrayLike<number>, values: (key: number, d: number) => number, dv: number): Float64Array {
  const out = new Float64Array(dv);
  for (let p = 0; p < row.length; p++) {
    const weight = row[p] as number;
    for (let d = 0; d < dv; d++) out[d] = (out[d] as number) + weight * values(p, d);
  }
  return out;
}

function wantedCandidates(sinks: Sinks, keys: number): number {
  return { none: 0, "only the exempt": 1, one: 2, many: Math.min(40, 1 + keys / 4), sharp: 3, "tiny rest": 3, all: 3 }[sinks];
}

/** A limit that about `wanted` means exceed and that none comes near. */
function chooseLimit(means: Float64Array, wanted: number): number {
  const falling = Float64Array.from(means).sort().reverse();
  if (wanted === 0) return (falling[0] as number) * 1.5;
  let best = { at: falling.length, room: 0 };
  for (let at = Math.max(1, Math.floor(wanted)); at <= Math.min(falling.length, wanted + 8); at++) {
    const above = falling[at - 1] as number;
    const below = falling[at] ?? 0;
    const room = (above - below) / above;
    if (room > 1e-3) return (above + below) / 2;
    if (room > best.room) best = { at, room };
  }
  if (best.room < 1e-5) throw new RangeError("The column means lie too close together to choose a limit.");
  return ((falling[best.at - 1] as number) + (falling[best.at] ?? 0)) / 2;
}

function alibiSlope(head: number, heads: number, maxBias: number): number {
  if (maxBias <= 0) return 1;
  const n = 2 ** Math.floor(Math.log2(heads));
  return head < n ? 2 ** ((-maxBias / n) * (head + 1)) : 2 ** ((-maxBias / 2 / n) * (2 * (head - n) + 1));
}

function transposeValues(v: Float32Array, groups: number, keys: number, dv: number): Float32Array {
  const out = new Float32Array(v.length);
  for (let g = 0; g < groups; g++)
    for (let i = 0; i < keys; i++) for (let d = 0; d < dv; d++) out[(g * dv + d) * keys + i] = v[(g * keys + i) * dv + d] as number;
  return out;
}
