/** IFEval: prompts with instructions that a rule can check (Zhou et al. 2023), and the verdict on an answer. */
import * as v from "valibot";
import { ActError } from "../../protocol/errors.js";
import { jsonLines } from "../json-lines.js";
import { type DetectLanguage, INSTRUCTIONS } from "./instructions.js";
import { isBlank } from "./python.js";

const PromptSchema = v.object({
  key: v.number("key must be a number"),
  prompt: v.pipe(v.string("prompt must be a text"), v.minLength(1, "prompt must not be empty")),
  instruction_id_list: v.array(v.string("instruction_id_list must hold texts"), "instruction_id_list must be a list"),
  kwargs: v.array(v.record(v.string(), v.unknown(), "kwargs must hold objects"), "kwargs must be a list"),
});
export type InstructionPrompt = v.InferOutput<typeof PromptSchema>;

const ResponseSchema = v.object({ key: v.number("key must be a number"), response: v.string("response must be a text") });
export type InstructionResponse = v.InferOutput<typeof ResponseSchema>;

const IS: Record<"number" | "string" | "strings", (value: unknown) => boolean> = {
  number: (value) => typeof value === "number" && Number.isFinite(value),
  string: (value) => typeof value === "string" && value !== "",
  strings: (value) => Array.isArray(value) && value.every((one) => typeof one === "string"),
};

/** @throws ActError `data` for a line that is no prompt, an unknown kind of instruction, or one without its arguments */
export function parseInstructionPrompts(text: string, file: string): InstructionPrompt[] {
  return jsonLines(text, file, PromptSchema).map(({ value, where }) => {
    const { instruction_id_list: ids, kwargs } = value;
    if (ids.length === 0 || ids.length !== kwargs.length)
      throw new ActError(
        "data",
        `${where}: ${ids.length} instructions and ${kwargs.length} kwargs; expected one kwargs for each of at least one.`,
      );
    ids.forEach((id, i) => {
      const instruction = Object.hasOwn(INSTRUCTIONS, id) ? INSTRUCTIONS[id] : undefined;
      if (!instruction)
        throw new ActError("data", `${where}: there is no kind of instruction "${id}" among the ${Object.keys(INSTRUCTIONS).length}.`);
      for (const [name, type] of Object.entries(instruction.needs))
        if (!IS[type](kwargs[i]?.[name])) throw new ActError("data", `${where}: ${id} needs "${name}" (${type}) in its kwargs.`);
    });
    return value;
  });
}

/** Given answers: `key` and `response` a line. @throws ActError `data` for a bad line, or a key that no prompt has */
export function parseResponses(text: string, file: string, prompts: ReadonlyMap<number, InstructionPrompt>): InstructionResponse[] {
  return jsonLines(text, file, ResponseSchema).map(({ value, where }) => {
    if (!prompts.has(value.key)) throw new ActError("data", `${where}: no prompt has the key ${value.key}.`);
    return value;
  });
}

/** Which instructions a response follows, in the order of the prompt. A blank response follows none. */
export function judge(prompt: InstructionPrompt, response: string, detect: DetectLanguage): boolean[] {
  return prompt.instruction_id_list.map(
    (id, i) => !isBlank(response) && (INSTRUCTIONS[id]?.follows(response, prompt.kwargs[i] ?? {}, detect) ?? false),
  );
}
