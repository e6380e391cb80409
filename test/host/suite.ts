import { runAll } from "./harness.js";
import "./activation.js";
import "./completions.js";

export const run = runAll;
