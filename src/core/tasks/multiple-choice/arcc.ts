import type { MultipleChoice } from "../task.js";

/** ai2_arc/ARC-Challenge, validation (here: its test split). */
export const arcc: MultipleChoice = {
  name: "ARCC",
  version: 1,
  kind: "multiple-choice",
  instruction: "Generate the correct answer to the following question.",
  template: "{question}{options}\nAnswer:",
  optionFormat: "\n{letter}. {choice}",
  letters: "ABCDEFG",
  maxChoices: 5,
};
