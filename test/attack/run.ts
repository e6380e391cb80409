// `node scripts/run.mjs attack [--minutes N] [--seed N] [NAME…]`.
import { ActError } from "../../src/protocol/errors.js";
import { ATTACKS } from "./index.js";

/** @returns the exit code: 1 where something broke */
export async function attack(names: readonly string[], minutes: number, seed: number): Promise<number> {
  const unknown = names.find((name) => !Object.hasOwn(ATTACKS, name));
  if (unknown) throw new ActError("usage", `There is no attack "${unknown}"; there are ${Object.keys(ATTACKS).join(", ")}.`);
  const chosen = Object.entries(ATTACKS).filter(([name]) => names.length === 0 || names.includes(name));
  let code = 0;
  for (const [name, one] of chosen) {
    console.log(`${name} --seed ${seed}: ${one.does}`);
    const until = performance.now() + (minutes * 60_000) / chosen.length;
    const report = await one.run({ seed, rounds: Number.POSITIVE_INFINITY, until, say: (line) => console.log(`  ${line}`) });
    console.log(`  ${report.rounds} rounds: ${JSON.stringify(report.outcomes)}`);
    for (const line of report.broken) console.log(`  BROKEN ${line}`);
    if (report.broken.length > 0) code = 1;
  }
  return code;
}
