import type { MultipleChoice } from "../task.js";

/** openbookqa/main, validation (here: its test split). */
export const ob: MultipleChoice = {
  name: "OB",
  version: 1,
  kind: "multiple-choice",
  instruction: "Generate the most appropriate answer to the following question.",
  template: "{question}{options}\nAnswer:",
  optionFormat: "\n{letter}. {choice}",
  letters: "ABCDEFG",
  maxChoices: 4,
};
