import type { Classification } from "../task.js";

/** super_glue/boolq, validation. */
export const boolq: Classification = {
  name: "BoolQ",
  version: 1,
  kind: "classification",
  instruction: "Read the text and answer the question by True or False.\n\n",
  template: "Text: {passage} Question: {question}? \nAnswer: ",
  labelWords: [" False", " True"],
};
