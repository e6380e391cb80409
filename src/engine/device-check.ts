import { normal, random } from "../core/random.js";
import { FLAG, type OpBindings, type OpInput, packEntries, readState } from "./op.js";

/** Far above what rounding explains (1e-5), far below what a wrong kernel does. */
const TOLERANCE = 1e-3;

const SHAPE = { keys: 64, streams: 1, heads: 3, kvHeads: 1, dk: 64, dv: 64, slots: 2 };
/** A prefill, whose scores are computed in tiles, and a token. */
const SEGMENTS = [
  { first: 0, rows: 40 },
  { first: 40, rows: 1 },
];
/** The first keys are strong: one is exempt, the others are sinks. */
const STRONG = 5;
/** Scores of the strong keys, by head: the last one's rows leave so little rest that the other keys are summed directly. */
const STRENGTH = [3, 3, 8];

/**
 * Compares every device that takes the op with the CPU, on a small prefill and a token: why calibration must not run there, else null. For kernels
 * that their authors could not run.
 */
export function checkDevices({ actDevices, actEvaluate }: Partial<OpBindings>): string | null {
  if (!actDevices || !actEvaluate) return "this binary cannot run the op alone";
  const takers = actDevices().filter(({ backend, act }) => backend !== "CPU" && act);
  if (takers.length === 0) return "the device does not take the operation";
  for (const { name, description } of takers) {
    try {
      const why = compare(actEvaluate, name);
      if (why !== null) return `on ${description} ${why}`;
    } catch (error) {
      return `on ${description} it failed (${error instanceof Error ? error.message : String(error)})`;
    }
  }
  return null;
}

/** How a device's answers differ from the CPU's. */
function compare(evaluate: OpBindings["actEvaluate"], device: string): string | null {
  const before = new Float32Array(SHAPE.slots * (2 * SHAPE.keys + 2));
  const states: { here: Float32Array; cpu: Float32Array } = { here: before, cpu: before };
  for (const segment of SEGMENTS) {
    const run = (device: string, state: Float32Array) => evaluate({ ...input(segment), device, state });
    const [here, cpu] = [run(device, states.here), run("CPU", states.cpu)];
    if (!here || !cpu) return "it is refused for a plain cache";
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
function input({ first, rows }: (typeof SEGMENTS)[number]): Omit<OpInput, "device" | "state"> {
  const { keys, heads, kvHeads, dk, dv } = SHAPE;
  const rng = random(rows);
  const last = first + rows - 1;
  const scale = 1 / Math.sqrt(dk);
  const numbers = (length: number, size: number) => Float32Array.from({ length }, () => normal(rng) * size);
  const q = numbers(heads * rows * dk, 1);
  for (let h = 0; h < heads; h++) for (let r = 0; r < rows; r++) q[(h * rows + r) * dk] = (STRENGTH[h] as number) / scale;
  const cache = random(1);
  const cached = (length: number) => Float32Array.from({ length }, () => normal(cache) * 0.5);
  const k = cached(kvHeads * keys * dk);
  for (let key = 0; key < keys; key++) k[key * dk] = key < STRONG ? 1 : 0;
  const byKey = (value: (key: number) => number) => Array.from({ length: keys }, (_, key) => value(key));
  const flags = first === 0 ? FLAG.fresh : 0;
  return {
    ...SHAPE,
    threads: 1,
    rows,
    typeK: "f16",
    typeV: "f16",
    typeMask: "f16",
    transposedValues: false,
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
