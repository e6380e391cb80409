/**
 * How the op's cost grows with keys and rows, on the CPU and on each GPU backend that is installed: `node scripts/run.mjs bench op`. On a
 * software device only the growth means anything. Writes the plot to test/bench/op.svg.
 */
import { writeFile } from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import type { BuildContext } from "../../scripts/context.js";
import { installedBackends } from "../../src/engine/native/native.js";
import { openBindings } from "../native/op.js";
import { BASE } from "../native/op-cases.js";
import { type Shape, World } from "../native/op-world.js";
import { plot } from "./op-plot.js";

export interface OpFigures {
  device: string;
  rows: number;
  keys: number;
  /** The fastest run: what else the machine does only adds. */
  milliseconds: number;
  /** Per row, key and head. */
  nanoseconds: number;
  /** Of the statistics that stay on the device, per head. */
  stateBytes: number;
}

const SHAPE: Shape = { ...BASE, heads: 9, kvHeads: 3, sinks: "many", calibrated: [[0, 4, 8]] };

const REPEATS = 9;

export async function run(context: BuildContext): Promise<OpFigures[]> {
  process.env.GGML_VK_VISIBLE_DEVICES ??= "0";
  const gpu = installedBackends().find(({ name, ours }) => name !== "cpu" && ours)?.name ?? "cpu";
  const bindings = await openBindings(gpu === "cpu" ? false : gpu);
  const figures: OpFigures[] = [];
  for (const { name, description, act } of bindings.actDevices()) {
    if (!act) continue;
    for (const rows of [1, 64])
      for (const keys of [2048, 8192, 32768]) {
        const world = new World({ ...SHAPE, rows: [rows], keys, past: keys - rows }, 1);
        const { input } = world.next(name, 1, world.dirtyState());
        const result = bindings.actEvaluate({ ...input, repeats: REPEATS });
        if (!result?.milliseconds) continue;
        const milliseconds = Math.min(...result.milliseconds);
        const heads = SHAPE.calibrated[0]?.length ?? 1;
        figures.push({
          device: `${name} (${description})`,
          rows,
          keys,
          milliseconds,
          nanoseconds: (milliseconds * 1e6) / (rows * keys * heads),
          stateBytes: (input.state.byteLength / input.slots) | 0,
        });
      }
  }
  await writeFile(path.join(context.root, "test/bench/op.svg"), plot(figures));
  return figures;
}
