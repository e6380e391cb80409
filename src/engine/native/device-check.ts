import { normal, random } from "../../core/numbers/random.js";
import { FLAG, type OpBindings, type OpInput, packEntries, readState } from "./op.js";

/** Far above what rounding explains (2e-6 on llvmpipe), far below what a wrong kernel does. */
const TOLERANCE = 1e-3;

/** A prefill, whose scores are computed in tiles, and a token: every kind of cache. */
const SMALL = { keys: 64, spareCells: 0, streams: 1, heads: 3, kvHeads: 1, dk: 64, dv: 64, first: 0, parts: [40, 1] };
/**
 * What larger models and longer prompts reach in the kernels: heads of 128 and 256, several key/value heads, two streams, keys of several tiles and
 * parts, the last one partial, a state wider than the keys, rows of less than a tile, of one and of more than two.
 */
const LARGE = [
  { keys: 1000, spareCells: 24, streams: 2, heads: 4, kvHeads: 2, dk: 128, dv: 128, first: 900, parts: [70, 4, 1] },
  { keys: 333, spareCells: 3, streams: 1, heads: 4, kvHeads: 2, dk: 256, dv: 256, first: 250, parts: [70, 4, 1] },
];
type Shape = typeof SMALL;

type Cache = Pick<OpInput, "typeK" | "typeV" | "transposedValues" | "interleaved">;
/** How keys and values may be kept: without FlashAttention values are transposed. */
const CACHES: Cache[] = [
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
/** The calibrated heads of every stream. */
const HEADS = [0, 2];
const SINKS = [1, 2];
const score = (head: number, row: number) => (head === 2 || row < EARLY ? 10 : Math.log(0.4 * (row + 1)));

/**
 * Compares every device that takes the op with the CPU, on prefills and tokens of several shapes: why calibration must not run there, else null.
 * For kernels that their authors could not run.
 */
export function checkDevices({ actDevices, actEvaluate }: Partial<OpBindings>): string | null {
  if (!actDevices || !actEvaluate) return "this binary cannot run the op alone";
  const takers = actDevices().filter(({ backend, act }) => backend !== "CPU" && act);
  if (takers.length === 0) return "the device does not take the operation";
  for (const { name, description } of takers) {
    try {
      for (const cache of CACHES) {
        const why = compare(actEvaluate, name, SMALL, cache);
        if (why !== null) return `on ${description}, with keys and values in ${cache.typeK}, ${why}`;
      }
      for (const shape of LARGE) {
        const why = compare(actEvaluate, name, shape, { typeK: "f16", typeV: "f16", transposedValues: false, interleaved: true });
        if (why !== null) return `on ${description}, with heads of ${shape.dk} elements, ${why}`;
      }
    } catch (error) {
      return `on ${description} it failed (${error instanceof Error ? error.message : String(error)})`;
    }
  }
  return null;
}

/** How a device's answers differ from the CPU's. */
function compare(evaluate: OpBindings["actEvaluate"], device: string, shape: Shape, kind: Cache): string | null {
  const { keys, spareCells, parts } = shape;
  const slots = shape.streams * HEADS.length;
  const before = new Float32Array(slots * (2 * (keys + spareCells) + 2));
  const states: { here: Float32Array; cpu: Float32Array } = { here: before, cpu: before };
  const cache = { ...kind, ...keysAndValues(shape) };
  let first = shape.first;
  for (const [part, rows] of parts.entries()) {
    const operands = { ...input(shape, first, rows, part === 0), ...cache, slots };
    const run = (device: string, state: Float32Array) => evaluate({ ...operands, device, state });
    const [here, cpu] = [run(device, states.here), run("CPU", states.cpu)];
    if (!here || !cpu) return "it is refused";
    const worst = largestDifference(here.o, cpu.o);
    if (!(worst <= TOLERANCE)) return `the attention of ${rows} rows differs from the CPU's by ${worst.toPrecision(2)}`;
    for (let slot = 0; slot < slots; slot++) {
      const [mine, theirs] = [here, cpu].map(({ state }) => readState(state, slots, slot)) as [State, State];
      const sums = largestDifference(mine.sums, theirs.sums);
      if (!(sums <= TOLERANCE)) return `the statistics of ${rows} rows differ from the CPU's by ${sums.toPrecision(2)}`;
      if (mine.exempt !== theirs.exempt || mine.sinks.join() !== theirs.sinks.join())
        return "other attention sinks are found than on the CPU";
    }
    states.here = here.state;
    states.cpu = cpu.state;
    first += rows;
  }
  return null;
}

type State = ReturnType<typeof readState>;

function largestDifference(a: Float32Array, b: Float32Array): number {
  return a.reduce((most, x, i) => Math.max(most, Math.abs(x - (b[i] as number))), 0); // NaN where one is
}

/** The cache of all parts. Dimension 0 carries the sinks, dimension 1 the exempt key. */
function keysAndValues({ keys, streams, kvHeads, dk, dv }: Shape): Pick<OpInput, "k" | "v"> {
  const rng = random(1);
  const cached = (length: number) => Float32Array.from({ length }, () => normal(rng) * 0.25);
  const rows = streams * kvHeads * keys;
  const k = cached(rows * dk);
  for (let row = 0; row < rows; row++) k.set([SINKS.includes(row % keys) ? 1 : 0, row % keys === 0 ? 1 : 0], row * dk);
  return { k, v: cached(rows * dv) };
}

/** Rows `first` to `first + rows` of every stream. Positions are cells, and some cells are free. */
function input(
  shape: Shape,
  first: number,
  rows: number,
  fresh: boolean,
): Omit<OpInput, "device" | "state" | "slots" | "k" | "v" | keyof Cache> {
  const { keys, streams, heads, kvHeads, dk, dv } = shape;
  const rng = random(rows);
  const last = first + rows - 1;
  const scale = 1 / Math.sqrt(dk);
  const numbers = (length: number, size: number) => Float32Array.from({ length }, () => normal(rng) * size);
  const q = numbers(streams * heads * rows * dk, 1);
  for (let at = 0; at < streams * heads * rows; at++) {
    const row = first + (at % rows);
    const strong = score(Math.floor(at / rows) % heads, row) / scale;
    q.set(row < EARLY ? [0, strong] : [strong, 0], at * dk);
  }
  const everyStream = <T>(values: (stream: number) => T[]) => Array.from({ length: streams }, (_, stream) => values(stream)).flat();
  const byKey = (value: (key: number) => number) => Array.from({ length: keys }, (_, key) => value(key));
  const seen = (key: number, from: number) => Math.max(0, last - Math.max(key, from) + 1);
  const sees = (i: number) => i % keys <= first + (Math.floor(i / keys) % rows);
  return {
    keys,
    streams,
    heads,
    kvHeads,
    dk,
    dv,
    threads: 1,
    rows,
    typeMask: "f16",
    scale,
    maxBias: 0,
    softcap: 0,
    o: numbers(streams * rows * heads * dv, 1),
    q,
    mask: Float32Array.from({ length: streams * rows * keys }, (_, i) => (sees(i) ? 0 : Number.NEGATIVE_INFINITY)),
    keysTable: Int32Array.from(
      everyStream(() => [
        ...byKey((key) => (key <= last ? key : -1)),
        ...byKey((key) => seen(key, shape.first)),
        ...byKey((key) => seen(key, first)),
      ]),
    ),
    entries: packEntries(
      everyStream((stream) =>
        HEADS.map((head, i) => ({
          stream,
          head,
          slot: stream * HEADS.length + i,
          flags: fresh ? FLAG.fresh : 0,
          weight: 0.4,
          limit: 0.1,
          row0: first,
        })),
      ),
    ),
  };
}
