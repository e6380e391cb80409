/** GGML_OP_ACT alone on one device, as the addon offers it (native-patches/src/node-llama-cpp/addon/AddonActOp.cpp). */

/** ggml-act.h's flags of an entry. */
export const FLAG = { fresh: 1, row: 2, initial: 4, watch: 8, matrix: 16 } as const;
export const ENTRY_SIZE = 8;

export interface Entry {
  stream: number;
  head: number;
  slot: number;
  flags: number;
  /** What a sink keeps of its attention (beta). */
  weight: number;
  /** A key whose column mean exceeds this is a candidate. */
  limit: number;
  /** Position of the stream's first row in this segment. */
  row0: number;
}

export interface OpInput {
  device: string;
  threads: number;
  rows: number;
  keys: number;
  streams: number;
  heads: number;
  kvHeads: number;
  dk: number;
  dv: number;
  typeK: string;
  typeV: string;
  typeMask: string;
  transposedValues: boolean;
  /** The heads of a token lie side by side on the device, as in llama.cpp's cache; the arrays here stay as they are. */
  interleaved?: boolean;
  scale: number;
  maxBias: number;
  softcap: number;
  slots: number;
  /** [streams][rows][heads][dv] */
  o: Float32Array;
  /** [streams][heads][rows][dk] */
  q: Float32Array;
  /** [streams][kvHeads][keys][dk] */
  k: Float32Array;
  /** [streams][kvHeads][keys][dv], or [streams][kvHeads][dv][keys] with transposedValues */
  v: Float32Array;
  /** [streams][rows][keys]: 0 or -Infinity */
  mask: Float32Array;
  /** [streams][3][keys]: position or -1, rows so far that see the key, rows of this segment that see it */
  keysTable: Int32Array;
  entries: Int32Array;
  /** [slots][2 * cells + 2] */
  state: Float32Array;
  matrixRows?: number;
  matrixColumns?: number;
  pool?: number;
  /** Runs the op this often again and tells the milliseconds of each. */
  repeats?: number;
}

export interface OpOutput {
  o: Float32Array;
  state: Float32Array;
  matrix?: Float32Array;
  milliseconds?: Float32Array;
}

export interface Device {
  name: string;
  description: string;
  backend: string;
  act: boolean;
}

/** The addon's functions for it. */
export interface OpBindings {
  actEvaluate(input: OpInput): OpOutput | null;
  actDevices(): Device[];
}

/** `entries` as the op reads them: integers, with the two reals as their bits. */
export function packEntries(entries: Entry[]): Int32Array {
  const packed = new Int32Array(entries.length * ENTRY_SIZE);
  const reals = new Float32Array(packed.buffer);
  for (const [i, e] of entries.entries()) {
    packed.set([e.stream, e.head, e.slot, e.flags], i * ENTRY_SIZE);
    reals.set([e.weight, e.limit], i * ENTRY_SIZE + 4);
    packed[i * ENTRY_SIZE + 6] = e.row0;
  }
  return packed;
}

/** Sums, exempt cell and sinks of one slot of a returned state. */
export function readState(state: Float32Array, slots: number, slot: number): { sums: Float32Array; exempt: number; sinks: number[] } {
  const width = state.length / slots;
  const cells = (width - 2) / 2;
  const row = state.subarray(slot * width, (slot + 1) * width);
  const integers = new Int32Array(state.buffer, state.byteOffset + slot * width * 4, width);
  const count = integers[cells + 1] ?? 0;
  return { sums: row.slice(0, cells), exempt: integers[cells] ?? -1, sinks: Array.from(integers.subarray(cells + 2, cells + 2 + count)) };
}
