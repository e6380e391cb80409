import type { Classification } from "../task.js";

/** super_glue/cb, validation (entailment, contradiction, neutral). */
export const cb: Classification = {
  name: "CB",
  version: 1,
  kind: "classification",
  instruction: "Read the following paragraph and determine if the hypothesis is true.\n\n",
  template: "Premise: {premise} Hypothesis: {hypothesis}. Answer: ",
  labelWords: ["Yes", "No", "Maybe"],
  searchSamples: 250,
};
