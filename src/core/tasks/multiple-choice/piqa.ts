import type { MultipleChoice } from "../task.js";

/** piqa, validation. */
export const piqa: MultipleChoice = {
  name: "PIQA",
  version: 1,
  kind: "multiple-choice",
  instruction: "Generate the correct solution to accomplish the following goal.",
  template: "{question}{options}\nAnswer:",
  optionFormat: "\n{letter}. {choice}",
  letters: "ABCDEFG",
  maxChoices: 2,
};
