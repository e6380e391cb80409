import { runAll } from "../harness.js";

/** Proves that the test bed notices: a suite that registers nothing. */
export const run = runAll;
