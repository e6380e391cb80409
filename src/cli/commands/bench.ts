import type { BenchRow } from "../../protocol/engine.js";
import { ActError } from "../../protocol/errors.js";
import { BenchPhaseSchema, ClockSchema } from "../../protocol/requests/bench.js";
import { count } from "../../protocol/requests/fields.js";
import { choice, type Flags, list, number } from "../arguments.js";
import type { Command } from "../command.js";
import { table } from "../table.js";

export const bench: Command = {
  does: "overhead of calibration: prefill, decode, capture, abort, memory",
  usage: "[--phases prefill,decode,abort,memory,splits] [--lengths 512,2048] [--depths 1024,4096] [--shares 0.2,1] [--rounds N]",
  flags: {
    phases: { value: "NAME", does: `what to measure: ${BenchPhaseSchema.options.join(", ")}`, many: true, default: "all" },
    lengths: { value: "N", does: "prompt lengths of prefill", many: true, default: "512,2048" },
    depths: { value: "N", does: "context lengths of decode", many: true, default: "1024,4096" },
    shares: { value: "X", does: "shares of the eligible heads that are calibrated", many: true, default: "0.2,1" },
    rounds: { value: "N", does: "rounds, each with every variant once", schema: count, default: "9" },
    clock: { value: "NAME", does: "time that passed, or CPU time of the engine", schema: ClockSchema, default: "wall" },
  },
  help: "Calibration on and off take turns in one run; a ratio below 1 is the speed that is left. Keep the machine quiet meanwhile; where it is not, --clock cpu --threads 1.",
  async run(session, flags) {
    const phases = list(flags, "phases").map((phase) => BenchPhaseSchema.options.find((known) => known === phase) ?? unknown(phase));
    const params = {
      ...(phases.length > 0 && { phases }),
      lengths: numbers(flags, "lengths", { whole: true }),
      depths: numbers(flags, "depths", { whole: true }),
      shares: numbers(flags, "shares", { whole: false }),
      rounds: number(flags, "rounds"),
      clock: choice(flags, "clock", ClockSchema),
    };
    await session.load({ sequences: 0 });
    const { rows } = await session.request("bench", params, { onProgress: ({ row }) => session.note(describe(row).join("  ")) });
    return { json: { rows }, text: table(["phase", "tokens", "heads", "result", "95 % interval"], rows.map(describe)) };
  },
};

function unknown(phase: string): never {
  throw new ActError("usage", `--phases must be among ${BenchPhaseSchema.options.join(", ")}, not "${phase}".`);
}

function describe({ phase, tokens, headShare, ratio, interval }: BenchRow): string[] {
  const show =
    phase === "abort"
      ? (value: number) => `${value.toFixed(0)} ms`
      : phase === "memory"
        ? (value: number) => `${(value / 2 ** 20).toFixed(1)} MiB`
        : phase === "splits"
          ? (value: number) => value.toFixed(0)
          : (value: number) => value.toFixed(3);
  return [phase, String(tokens), `${Math.round(headShare * 100)} %`, show(ratio), `${show(interval[0])} to ${show(interval[1])}`];
}

function numbers(flags: Flags, name: string, { whole }: { whole: boolean }): number[] | undefined {
  const given = list(flags, name);
  if (given.length === 0) return undefined;
  return given.map((item) => {
    const value = Number(item);
    if (!Number.isFinite(value) || value <= 0 || (whole ? !Number.isInteger(value) : value > 1))
      throw new ActError(
        "usage",
        `--${name} needs ${whole ? "whole numbers above 0" : "numbers above 0 and up to 1"}, separated by commas, not "${item}".`,
      );
    return value;
  });
}
