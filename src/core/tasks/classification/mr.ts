import type { Classification } from "../task.js";

/** rotten_tomatoes, validation. */
export const mr: Classification = {
  name: "MR",
  version: 1,
  kind: "classification",
  instruction: "Classify the sentiment of the movie's review into one of the following categories:'positive' or 'negative'.\n\n",
  template: "Review: {text} \nSentiment: ",
  labelWords: [" negative", " positive"],
};
