import type { Classification } from "../task.js";

/** trec, test (coarse order DESC ENTY ABBR HUM NUM LOC). */
export const trec: Classification = {
  name: "TREC",
  version: 1,
  kind: "classification",
  instruction:
    "Classify the given questions into the following categories of 'Description', 'Entity', 'Expression', 'Person', 'Number', or 'Location'.\n\n",
  template: "Question: {text} \nType: ",
  labelWords: [" Description", " Entity", " Expression", " Person", " Number", " Location"],
};
