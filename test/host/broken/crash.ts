import { runAll, test } from "../harness.js";

/** Proves that the test bed notices: the host goes down in the middle. */
test("this one passes", () => {});
test("this one takes the host down", () => process.abort());

export const run = runAll;
