import type { MultipleChoice } from "../task.js";

/** hellaswag, validation. */
export const hellaswag: MultipleChoice = {
  name: "hellaswag",
  version: 1,
  kind: "multiple-choice",
  instruction: "Complete the following sentence with an appropriate ending.",
  template: "{question}{options}\nAnswer:",
  optionFormat: "\n{letter}. {choice}",
  letters: "ABCDEFG",
  maxChoices: 4,
};
