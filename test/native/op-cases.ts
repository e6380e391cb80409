// The shapes that every device's op is measured on, in the manner of ggml's test-backend-ops.
import type { Shape, Sinks, TensorType } from "./op-world.js";

export const BASE: Shape = {
  rows: [33],
  keys: 256,
  heads: 6,
  kvHeads: 2,
  dk: 64,
  dv: 64,
  streams: 1,
  typeK: "f16",
  typeV: "f16",
  typeMask: "f16",
  transposedValues: false,
  interleaved: false,
  softcap: 0,
  maxBias: 0,
  sinks: "one",
  rule: "running",
  beta: 0.4,
  calibrated: [[1, 2, 4]],
  past: 0,
  spareCells: 0,
  scattered: false,
};

export interface Case {
  name: string;
  shape: Shape;
  /** Small enough for a software GPU in a test run. */
  short: boolean;
}

const KINDS: Sinks[] = ["one", "many", "only the exempt", "sharp", "none", "tiny rest", "all"];

/** Every shape, named by what it differs in. */
export function opCases(): Case[] {
  const cases: Case[] = [];
  const add = (name: string, change: Partial<Shape>, short = false) => cases.push({ name, shape: { ...BASE, ...change }, short });

  let kind = 0;
  for (const rows of [1, 2, 31, 32, 33, 512])
    for (const keys of [1, 7, 64, 65, 256, 1000, 4096]) {
      if (keys < rows || (rows === 512 && keys > 1000 && keys < 4096)) continue;
      // few keys leave no room for three strong ones
      const sinks = keys === 1 ? "none" : keys < 31 ? "one" : (KINDS[kind++ % KINDS.length] as Sinks);
      const long = rows * keys > 100_000;
      add(
        `${rows} rows, ${keys} keys, ${sinks}`,
        { rows: [rows], keys, past: keys - rows, sinks, calibrated: long ? [[1]] : [[1, 2, 4]] },
        !long,
      );
    }

  // Metal's kernels, whose test has little scratch memory, need a round for each entry
  add("2 rows, 4096 keys, many", { rows: [2], keys: 4096, past: 4094, sinks: "many" }, true);

  for (const d of [64, 80, 96, 128, 256])
    for (const rows of [1, 40]) add(`head size ${d}, ${rows} rows`, { dk: d, dv: d, rows: [rows], past: 100, sinks: "many" }, d !== 96);
  add("keys of 128, values of 64", { dk: 128, dv: 64, sinks: "many" }, true);
  add("keys of 64, values of 128", { dk: 64, dv: 128, sinks: "sharp" });

  for (const [heads, kvHeads] of [
    [4, 4],
    [9, 3],
    [16, 2],
    [8, 1],
  ] as const)
    for (const rows of [1, 40])
      add(
        `${heads} heads on ${kvHeads}, ${rows} rows`,
        { heads, kvHeads, rows: [rows], past: 60, sinks: "many", calibrated: [[0, heads - 1]] },
        heads === 9,
      );
  add("every head calibrated", { heads: 9, kvHeads: 3, calibrated: [[0, 1, 2, 3, 4, 5, 6, 7, 8]], sinks: "many" }, true);

  const streams: Partial<Shape> = { streams: 3, calibrated: [[0, 5], [], [1, 2, 3]] };
  for (const rows of [1, 40])
    add(`three streams with their own heads, ${rows} rows`, { ...streams, rows: [rows], past: 50, sinks: "many" }, true);

  for (const type of ["f32", "f16", "q8_0", "q4_0"] as TensorType[])
    for (const rows of [1, 40])
      for (const sinks of ["many", "sharp"] as Sinks[])
        add(
          `${type} keys and values, ${rows} rows, ${sinks}`,
          { typeK: type, typeV: type, rows: [rows], past: 60, sinks },
          sinks === "many",
        );
  add("q8_0 keys, q4_0 values", { typeK: "q8_0", typeV: "q4_0", sinks: "many", dk: 96, dv: 96 }, true);
  add("f32 keys, f16 values", { typeK: "f32", sinks: "many" });
  add("float32 mask", { typeMask: "f32", sinks: "many" }, true);
  for (const typeV of ["f16", "f32"] as TensorType[])
    for (const rows of [1, 40])
      add(`transposed ${typeV} values, ${rows} rows`, { transposedValues: true, typeV, rows: [rows], past: 40, sinks: "sharp" }, true);

  for (const typeK of ["f16", "q8_0"] as TensorType[])
    add(
      `heads side by side as in the cache, ${typeK}`,
      {
        interleaved: true,
        typeK,
        dk: 128,
        dv: 128,
        rows: [40, 1],
        keys: 300,
        past: 100,
        streams: 2,
        calibrated: [[0, 5], [3]],
        sinks: "many",
      },
      true,
    );

  for (const rows of [1, 40]) {
    add(`soft-cap 5, ${rows} rows`, { softcap: 5, rows: [rows], past: 40, sinks: "many" }, rows > 1);
    add(`ALiBi over 6 heads, ${rows} rows`, { maxBias: 8, rows: [rows], past: 40, sinks: "many" }, rows > 1);
    add(
      `cells in any order, some free, ${rows} rows`,
      { scattered: true, keys: 300, spareCells: 20, rows: [rows], past: 90, sinks: "many" },
      true,
    );
    add(`ZeroTuning 0.3, ${rows} rows`, { rule: "initial", beta: 0.3, rows: [rows], past: 40, scattered: true }, true);
    add(`ZeroTuning 2.5, ${rows} rows`, { rule: "initial", beta: 2.5, rows: [rows], past: 40 });
    add(`watching only, ${rows} rows`, { rule: "watch", rows: [rows], past: 40, sinks: "many" }, true);
  }
  add("beta 1 changes nothing", { beta: 1, sinks: "many" }, true);
  add("beta 0 takes all of a sink", { beta: 0, sinks: "many" }, true);
  for (const sinks of ["many", "sharp", "tiny rest", "all"] as const)
    for (const rows of [1, 40])
      add(`beta 1.7 strengthens, ${sinks}, ${rows} rows`, { beta: 1.7, sinks, rows: [rows], past: 60 }, sinks !== "all");
  for (const rule of ["running", "row"] as const)
    add(
      `${rule} statistics over a prefill of 64 in two parts and four tokens`,
      {
        rule,
        rows: [40, 24, 1, 1, 2, 1],
        keys: 128,
        past: 0,
        sinks: "many",
        spareCells: 128,
      },
      true,
    );
  add(
    "statistics behind a reused prefix, then tokens",
    { rows: [64, 1, 1], keys: 512, past: 300, sinks: "many", scattered: true, spareCells: 7 },
    true,
  );
  return cases;
}
