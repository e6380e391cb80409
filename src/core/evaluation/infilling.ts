/** HumanEval infilling (Bavarian et al. 2022): a part of a program is left out, and what is filled in passes the program's tests or not. */
import * as v from "valibot";
import { jsonLines } from "../json-lines.js";

const ProblemSchema = v.object({
  id: v.string("id must be a text"),
  /** `single`: one line is left out; `span`: a random stretch. */
  kind: v.picklist(["single", "span"], "kind must be single or span"),
  prefix: v.string("prefix must be a text"),
  suffix: v.string("suffix must be a text"),
  /** Defines `check(candidate)`. */
  test: v.string("test must be a text"),
  entry_point: v.pipe(v.string("entry_point must be a text"), v.regex(/^[A-Za-z_]\w*$/, "entry_point must be a name")),
});
export type Problem = v.InferOutput<typeof ProblemSchema>;

/** @throws ActError `data` naming file and line */
export function parseProblems(text: string, file: string): Problem[] {
  return jsonLines(text, file, ProblemSchema).map(({ value }) => value);
}

/** The whole program with what was filled in, its tests called at the end. */
export function programOf({ prefix, suffix, test, entry_point }: Problem, middle: string): string {
  return `${prefix}${middle}${suffix}\n${test}\ncheck(${entry_point})\n`;
}

/** What of an answer is filled in: one line ends with its line end (blank lines before it do no harm); a span is the whole answer. */
export function filledIn(kind: Problem["kind"], answer: string): string {
  return kind === "span" ? answer : `${/^(?:[^\S\n]*\n)*[^\n]*/.exec(answer)?.[0] ?? ""}\n`;
}
