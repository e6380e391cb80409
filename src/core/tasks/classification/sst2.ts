import type { Classification } from "../task.js";

/** glue/sst2, eval split validation. */
export const sst2: Classification = {
  name: "sst2",
  version: 1,
  kind: "classification",
  instruction: "Classify the sentiment of the user's message into one of the following categories:'positive' or 'negative'.\n\n",
  template: "Sentence: {text} \nSentiment: ",
  labelWords: [" negative", " positive"],
};
