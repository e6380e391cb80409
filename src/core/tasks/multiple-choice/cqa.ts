import type { MultipleChoice } from "../task.js";

/** commonsense_qa, validation. */
export const cqa: MultipleChoice = {
  name: "CQA",
  version: 1,
  kind: "multiple-choice",
  instruction: "Generate the correct answer to the following question.",
  template: "{question}{options}\nAnswer:",
  optionFormat: "\n{letter}. {choice}",
  letters: "ABCDEFG",
  maxChoices: 5,
};
