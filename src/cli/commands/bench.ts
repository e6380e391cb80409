import type { BenchRow } from "../../protocol/engine.js";
import { ActError } from "../../protocol/errors.js";
import { choice, count, type Flags, list } from "../arguments.js";
import type { Command } from "../command.js";
import { table } from "../table.js";

export const bench: Command = {
  does: "overhead of calibration: prefill, decode, capture, abort, memory",
  usage: "[--phases prefill,decode,abort,memory,splits] [--lengths 512,2048] [--depths 1024,4096] [--shares 0.2,1] [--rounds N]",
  flags: {
    phases: { type: "string" },
    lengths: { type: "string" },
    depths: { type: "string" },
    shares: { type: "string" },
    rounds: { type: "string" },
    clock: { type: "string" },
  },
  help: "Calibration on and off take turns in one run; a ratio below 1 is the speed that is left. Keep the machine quiet meanwhile; where it is not, --clock cpu --threads 1.",
  async run(session, flags) {
    const phases = list(flags, "phases").map((phase) => PHASES.find((known) => known === phase) ?? unknown(phase));
    const params = {
      ...(phases.length > 0 && { phases }),
      lengths: numbers(flags, "lengths", { whole: true }),
      depths: numbers(flags, "depths", { whole: true }),
      shares: numbers(flags, "shares", { whole: false }),
      rounds: count(flags, "rounds"),
      clock: choice(flags, "clock", ["wall", "cpu"]),
    };
    await session.load({ sequences: 0 });
    const { rows } = await session.request("bench", params, { onProgress: ({ row }) => session.note(describe(row).join("  ")) });
    return { json: { rows }, text: table(["phase", "tokens", "heads", "result", "95 % interval"], rows.map(describe)) };
  },
};

const PHASES = ["prefill", "decode", "abort", "memory", "splits"] as const;

function unknown(phase: string): never {
  throw new ActError("usage", `--phases must be among ${PHASES.join(", ")}, not "${phase}".`);
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
