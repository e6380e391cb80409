import type { MultipleChoice } from "../task.js";

/** super_glue/copa, validation. */
export const copa: MultipleChoice = {
  name: "COPA",
  version: 1,
  kind: "multiple-choice",
  instruction: "Generate the correct answer to the following question.",
  template: "{question}{options}\nAnswer:",
  optionFormat: "\n{letter}. {choice}",
  letters: "ABCDEFG",
  maxChoices: 2,
  searchSamples: 400,
};
