import { runAll } from "./harness.js";
import "./activation.js";
import "./completions.js";
import "./chat.js";
import "./participant.js";
import "./label.js";
import "./uses.js";

export const run = runAll;
