import type { Command } from "./command.js";
import { bench } from "./commands/bench.js";
import { calibrate } from "./commands/calibrate.js";
import { complete } from "./commands/complete.js";
import { completion } from "./commands/completion.js";
import { doctor } from "./commands/doctor.js";
import { effects } from "./commands/effects.js";
import { evaluate } from "./commands/evaluate.js";
import { filters } from "./commands/filters.js";
import { infill } from "./commands/infill.js";
import { label } from "./commands/label.js";
import { logits } from "./commands/logits.js";
import { mtBench } from "./commands/mt-bench.js";
import { sinks } from "./commands/sinks.js";

/** Every command of `act`, in the order of the help. */
export const commands: Readonly<Record<string, Command>> = {
  doctor,
  complete,
  infill,
  filters,
  logits,
  sinks,
  effects,
  calibrate,
  evaluate,
  label,
  "mt-bench": mtBench,
  bench,
  completion,
};
