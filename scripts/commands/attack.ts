// `attack [--minutes N] [--seed N] [NAME…]`: campaigns against the product as it is (test/attack).
import { parseArgs } from "node:util";
import { ActError } from "../../src/protocol/errors.js";
import { attack } from "../../test/attack/run.js";
import type { BuildContext } from "../context.js";
import { setUp } from "./set-up.js";

export async function runAttacks(context: BuildContext, args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    options: { minutes: { type: "string" }, seed: { type: "string" } },
    allowPositionals: true,
  });
  const number = (name: "minutes" | "seed", without: number) => {
    const value = values[name] === undefined ? without : Number(values[name]);
    if (!(value > 0)) throw new ActError("usage", `--${name} needs a number above 0, not "${values[name]}".`);
    return value;
  };
  await setUp(context);
  return await attack(positionals, number("minutes", 10), Math.floor(number("seed", 1 + Math.floor(Math.random() * 1e6))));
}
