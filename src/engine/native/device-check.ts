import { normal, random } from "../../core/numbers/random.js";
import { FLAG, type OpBindings, type OpInput, packEntries, readState } from "./op.js";

/** Far above what rounding explains (2e-6 on llvmpipe), far below what a wrong kernel does. */
const TOLERANCE = 1e-3;

const SHAPE = { keys: 64, streams: 1, heads: 3, kvHeads: 1, dk: 64, dv: 64, slots: 2 };
/** A prefill, whose scores are computed in tiles, and a token. */
const SEGMENTS = [
  { first: 0, rows: 40 },
  { first: 40, rows: 1 },
];
/** How keys and values may be kept: without FlashAttention values are transposed. */
const CACHES = [
  { typeK: "f16", typeV: "f16", transposedValues: false },
  { typeK: "f16", typeV: "f16", transposedValues: true },
  { typeK: "f32", typeV: "f32", transposedValues: false },
  { typeK: "q8_0", typeV: "q8_0", transposedValues: false },
  { typeK: "q4_0", typeV: "q4_0", transposedValues: false },
];
/**
 * Early rows look at key 0, which is exempt, later ones at the two sinks. A backend decides by a row's rest how it computes it, each with a limit of
 * its own (1/4, 1/8); so a row's rest is more than 2/5 here (with head 0), or hardly anything (head 2).
 */
const EARLY = 8;
const SINKS = [1, 2];
const score = (head: number, row: number) => (head === 2 || row < EARLY ? 10 : Math.log(0.4 * (row + 1)));

/**
 * Compares every device that takes the op with the CPU, on a small prefill and a token for every kind of cache: why calibration must not run
 * there, else null. For kernels that their authors could not run.
 */
export function checkDevices({ actDevices, actEvaluate }: Partial<OpBindings>): string | null {
  if (!actDevices || !actEvaluate) return "this binary cannot run the op alone";
  const takers = actDevices().filter(({ backend, act }) => backend !== "CPU" && act);
  if (takers.length === 0) return "the device does not take the operation";
  for (const { name, description } of takers) {
    try {
      for (const cache of CACHES) {
        const why = compare(actEvaluate, name, cache);
        if (why !== null) return `on ${description}, with keys and values in ${cache.typeK}, ${why}`;
      }
    } catch (error) {
      return `on ${description} it failed (${error instanceof Error ? error.message : String(error)})`;
    }
  }
  return null;
}

/** How a device's answers differ from the CPU's. */
function compare(evaluate: OpBindings["actEvaluate"], device: string, cache: (typeof CACHES)[number]): string | null {
  const before = new Float32Array(SHAPE.slots * (2 * SHAPE.keys + 2));
  const states: { here: Float32Array; cpu: Float32Array } = { here: before, cpu: before };
  for (const segment of SEGMENTS) {
    const run = (device: string, state: Float32Array) => evaluate({ ...input(segment), ...cache, device, state });
    const [here, cpu] = [run(device, states.here), run("CPU", states.cpu)];
    if (!here || !cpu) return "it is refused";
    const worst = largestDifference(here.o, cpu.o);
    if (!(worst <= TOLERANCE)) return `the attention of ${segment.rows} rows differs from the CPU's by ${worst.toPrecision(2)}`;
    for (let slot = 0; slot < SHAPE.slots; slot++) {
      const [mine, theirs] = [here, cpu].map(({ state }) => readState(state, SHAPE.slots, slot)) as [State, State];
      const sums = largestDifference(mine.sums, theirs.sums);
      if (!(sums <= TOLERANCE)) return `the statistics of ${segment.rows} rows differ from the CPU's by ${sums.toPrecision(2)}`;
      if (mine.exempt !== theirs.exempt || mine.sinks.join() !== theirs.sinks.join())
        return "other attention sinks are found than on the CPU";
    }
    states.here = here.state;
    states.cpu = cpu.state;
  }
  return null;
}

type State = ReturnType<typeof readState>;

function largestDifference(a: Float32Array, b: Float32Array): number {
  return a.reduce((most, x, i) => Math.max(most, Math.abs(x - (b[i] as number))), 0); // NaN where one is
}

/** Positions are cells, and some cells are free. */
function input({ first, rows }: (typeof SEGMENTS)[number]): Omit<OpInput, "device" | "state" | keyof (typeof CACHES)[number]> {
  const { keys, heads, kvHeads, dk, dv } = SHAPE;
  const rng = random(rows);
  const last = first + rows - 1;
  const scale = 1 / Math.sqrt(dk);
  const numbers = (length: number, size: number) => Float32Array.from({ length }, () => normal(rng) * size);
  const q = numbers(heads * rows * dk, 1);
  // dimension 0 carries the sinks, dimension 1 the exempt key
  for (let h = 0; h < heads; h++)
    for (let r = 0; r < rows; r++) {
      const strong = score(h, first + r) / scale;
      q.set(first + r < EARLY ? [0, strong] : [strong, 0], (h * rows + r) * dk);
    }
  const same = random(1); // the token sees the prefill's cache
  const cached = (length: number) => Float32Array.from({ length }, () => normal(same) * 0.25);
  const k = cached(kvHeads * keys * dk);
  for (let key = 0; key < keys; key++) k.set([SINKS.includes(key) ? 1 : 0, key === 0 ? 1 : 0], key * dk);
  const byKey = (value: (key: number) => number) => Array.from({ length: keys }, (_, key) => value(key));
  const flags = first === 0 ? FLAG.fresh : 0;
  return {
    ...SHAPE,
    threads: 1,
    rows,
    typeMask: "f16",
    scale,
    maxBias: 0,
    softcap: 0,
    o: numbers(rows * heads * dv, 1),
    q,
    k,
    v: cached(kvHeads * keys * dv),
    mask: Float32Array.from({ length: rows * keys }, (_, i) => (i % keys <= first + Math.floor(i / keys) ? 0 : Number.NEGATIVE_INFINITY)),
    keysTable: Int32Array.from([
      ...byKey((key) => (key <= last ? key : -1)),
      ...byKey((key) => Math.max(0, last - key + 1)),
      ...byKey((key) => Math.max(0, last - Math.max(key, first) + 1)),
    ]),
    entries: packEntries([0, 2].map((head, slot) => ({ stream: 0, head, slot, flags, weight: 0.4, limit: 0.1, row0: first }))),
  };
}
