import type { MultipleChoice } from "../task.js";

/** ai2_arc/ARC-Easy, validation (here: its test split). */
export const arce: MultipleChoice = {
  name: "ARCE",
  version: 1,
  kind: "multiple-choice",
  instruction: "Generate the correct answer to the following question.",
  template: "{question}{options}\nAnswer:",
  optionFormat: "\n{letter}. {choice}",
  letters: "ABCDEFG",
  maxChoices: 5,
};
