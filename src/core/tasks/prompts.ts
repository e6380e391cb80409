/** Raw completion prompts exactly as published: the tokenizer adds BOS where the model has one, there is no chat template. */
import { ActError } from "../../protocol/errors.js";
import { choose, type Random, random } from "../numbers/random.js";
import type { Item, MultipleChoice, Task } from "./task.js";

/** Fills `{name}` in one pass, so braces inside an item's text stay what they are. */
function fill(template: string, values: Record<string, string>): string {
  return template.replace(/\{(\w+)\}/g, (whole, name: string) => values[name] ?? whole);
}

export function letter(task: MultipleChoice, index: number): string {
  const found = task.letters[index];
  if (found === undefined) throw new ActError("data", `${task.name} has no letter for choice ${index + 1}.`);
  return found;
}

/** The item's own part of the prompt, up to where the answer begins. */
export function body(task: Task, item: Item): string {
  if (task.kind === "classification") return fill(task.template, item.fields);
  const options = (item.choices ?? []).map((choice, i) => fill(task.optionFormat, { letter: letter(task, i), choice })).join("");
  return fill(task.template, { ...item.fields, options });
}

/**
 * What an item says, without what differs between two copies of one sentence: case, punctuation, spaces. Items of the same text may stand in
 * different data sets (film reviews do).
 */
export function sameText({ fields, choices = [] }: Item): string {
  const whole = [...Object.values(fields), ...choices].join(" ").normalize("NFKC");
  const words = whole.toLowerCase().match(/[\p{L}\p{N}]+/gu);
  return words ? words.join("") : whole.trim();
}

/** What a shot shows behind its body. */
export function answer(task: Task, item: Item): string {
  return task.kind === "classification" ? (task.labelWords[item.label] as string) : ` ${letter(task, item.label)}`;
}

export function prompt(task: Task, item: Item, shots: readonly Item[] = []): string {
  const lead = task.kind === "classification" ? task.instruction : `${task.instruction}\n\n`;
  return lead + shots.map((shot) => `${body(task, shot)}${answer(task, shot)}\n\n`).join("") + body(task, item);
}

/** `count` distinct shots from the train items, the same for every prompt of one repeat. */
export function drawShots(train: readonly Item[], count: number, rng: Random): Item[] {
  if (count > train.length) throw new ActError("data", `${count} shots were asked for, but there are only ${train.length} train items.`);
  return choose(train, count, rng);
}

/** Shots of repeat `i` of the published few-shot evaluation: seed 42 * i. */
export function shotsOfRepeat(train: readonly Item[], count: number, repeat: number): Item[] {
  return drawShots(train, count, random(42 * repeat));
}

/** Content-free inputs of contextual calibration (Zhao et al. 2021). */
export const CONTENT_FREE = ["N/A", "", "[MASK]"] as const;

/** The prompt with every field of the item replaced by a content-free text. */
export function contentFreePrompt(task: Task, text: string, shots: readonly Item[] = []): string {
  if (task.kind !== "classification") throw new ActError("usage", "Contextual calibration is defined for classification tasks only.");
  const names = [...task.template.matchAll(/\{(\w+)\}/g)].map((match) => match[1] as string);
  return prompt(task, { id: "content-free", fields: Object.fromEntries(names.map((name) => [name, text])), label: 0 }, shots);
}
