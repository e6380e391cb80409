import type { Classification } from "../task.js";

/** SetFit/sst5, validation. */
export const sst5: Classification = {
  name: "sst5",
  version: 1,
  kind: "classification",
  instruction:
    "Classify the sentiment of the user's message into one of the following categories:'terrible', 'negative', 'neutral', 'positive', or 'great'.\n\n",
  template: "Sentence: {text} \nSentiment: ",
  labelWords: [" terrible", " negative", " neutral", " positive", " great"],
};
