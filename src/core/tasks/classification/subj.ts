import type { Classification } from "../task.js";

/** SetFit/subj, test. */
export const subj: Classification = {
  name: "SUBJ",
  version: 1,
  kind: "classification",
  instruction: "Classify the sentiment polarity of the movie's review into one of the following categories: 'subjective' or 'object'.\n\n",
  template: "Input: {text} \nType: ",
  labelWords: [" objective", " subjective"],
};
