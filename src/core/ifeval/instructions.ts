/**
 * The 25 kinds of instructions of IFEval (Zhou et al. 2023) whose following a rule can check. Verdicts are meant to equal the official checker's, odd
 * ones included: a word in capitals is any run of letters and digits without a small letter, a bullet of two stars is no bullet.
 */
import { BOUNDARY, isBlank, isLower, isUpper, pattern, SPACE, split, strip, WORD } from "./python.js";

/** What an instruction asks for, as the data set names it. */
export type Arguments = Readonly<Record<string, unknown>>;

/** Tells the language of a text; null where it cannot. */
export type DetectLanguage = (text: string) => string | null;

export interface Instruction {
  /** Arguments that it needs, and their types. */
  needs: Readonly<Record<string, "number" | "string" | "strings">>;
  follows(response: string, wanted: Arguments, detect: DetectLanguage): boolean;
}

const text = (wanted: Arguments, name: string) => wanted[name] as string;
const count = (wanted: Arguments, name: string) => wanted[name] as number;
const list = (wanted: Arguments, name: string) => wanted[name] as string[];
const compared = (found: number, relation: string, wanted: number) => (relation === "less than" ? found < wanted : found >= wanted);
const matches = (response: string, source: RegExp) => response.match(source) ?? [];

/** No language to be told counts as followed, as the official checker has it. */
const isEnglish = (response: string, detect: DetectLanguage) => (detect(response) ?? "en") === "en";

const WORDS = new RegExp(`[${WORD}]+`, "gu");
const SENTENCE_END = new RegExp(`(?<=[.!?])[${SPACE}]+`);
const STAR_BULLETS = new RegExp(`(?:^|(?<=\\n))[${SPACE}]*\\*[^*][^\\n]*`, "g");
const DASH_BULLETS = new RegExp(`(?:^|(?<=\\n))[${SPACE}]*-[^\\n]*`, "g");
const DIVIDER = new RegExp(`[${SPACE}]?\\*\\*\\*[${SPACE}]?`);
const CONSTRAINED = ["My answer is yes.", "My answer is no.", "My answer is maybe."];

/** Parts between dividers; blank ones count only where they stand at an end, and then not. Null where one in the middle is blank. */
function parts(pieces: readonly string[]): string[] | null {
  const inner = pieces.slice(1, -1);
  return inner.some(isBlank) ? null : pieces.filter((piece) => !isBlank(piece));
}

function isJson(response: string): boolean {
  let body = strip(response);
  for (const fence of ["```json", "```Json", "```JSON", "```"]) if (body.startsWith(fence)) body = body.slice(fence.length);
  if (body.endsWith("```")) body = body.slice(0, -3);
  // Python's reader takes these three as numbers.
  const numbers = strip(body).replace(/"(?:[^"\\]|\\.)*"|-?\bInfinity\b|\bNaN\b/g, (found) => (found.startsWith('"') ? found : "0"));
  try {
    JSON.parse(numbers);
    return true;
  } catch {
    return false;
  }
}

function firstWordOf(response: string, paragraphs: number, nth: number, wanted: string): boolean {
  const pieces = response.split("\n\n");
  const filled = pieces.filter((piece) => !isBlank(piece)).length;
  const paragraph = pieces[nth - 1];
  if (nth > filled || paragraph === undefined || isBlank(paragraph)) return false;
  const word = (split(paragraph)[0] as string).replace(/^'+/, "").replace(/^"+/, "");
  const first = /^[^.,?!'"]*/.exec(word)?.[0] ?? "";
  return filled === paragraphs && first.toLowerCase() === wanted.toLowerCase();
}

const relation = (frequency: string, kind = "relation") => ({ [kind]: "string", [frequency]: "number" }) as const;

export const INSTRUCTIONS: Readonly<Record<string, Instruction>> = {
  "keywords:existence": {
    needs: { keywords: "strings" },
    follows: (response, wanted) => list(wanted, "keywords").every((keyword) => pattern(keyword).test(response)),
  },
  "keywords:frequency": {
    needs: { keyword: "string", ...relation("frequency") },
    follows: (response, wanted) =>
      compared(
        matches(response, pattern(strip(text(wanted, "keyword")), undefined, "giu")).length,
        text(wanted, "relation"),
        count(wanted, "frequency"),
      ),
  },
  "keywords:forbidden_words": {
    needs: { forbidden_words: "strings" },
    follows: (response, wanted) =>
      !list(wanted, "forbidden_words").some((word) => pattern(word, (source) => BOUNDARY + source + BOUNDARY).test(response)),
  },
  "keywords:letter_frequency": {
    needs: { letter: "string", ...relation("let_frequency", "let_relation") },
    follows: (response, wanted) => {
      const letter = strip(text(wanted, "letter")).toLowerCase();
      const found = [...response.toLowerCase()].filter((one) => one === letter).length;
      return compared(found, text(wanted, "let_relation"), count(wanted, "let_frequency"));
    },
  },
  "language:response_language": {
    needs: { language: "string" },
    follows: (response, wanted, detect) => (detect(response) ?? text(wanted, "language")) === text(wanted, "language"),
  },
  "length_constraints:number_sentences": {
    needs: relation("num_sentences"),
    follows: (response, wanted) => {
      const sentences = strip(response).split(SENTENCE_END).length;
      return compared(sentences, text(wanted, "relation"), count(wanted, "num_sentences"));
    },
  },
  "length_constraints:number_paragraphs": {
    needs: { num_paragraphs: "number" },
    follows: (response, wanted) => parts(response.split(DIVIDER))?.length === count(wanted, "num_paragraphs"),
  },
  "length_constraints:number_words": {
    needs: relation("num_words"),
    follows: (response, wanted) => compared(matches(response, WORDS).length, text(wanted, "relation"), count(wanted, "num_words")),
  },
  "length_constraints:nth_paragraph_first_word": {
    needs: { num_paragraphs: "number", nth_paragraph: "number", first_word: "string" },
    follows: (response, wanted) =>
      firstWordOf(response, count(wanted, "num_paragraphs"), count(wanted, "nth_paragraph"), text(wanted, "first_word")),
  },
  "detectable_content:number_placeholders": {
    needs: { num_placeholders: "number" },
    follows: (response, wanted) => matches(response, /\[[^\n]*?\]/g).length >= count(wanted, "num_placeholders"),
  },
  "detectable_content:postscript": {
    needs: { postscript_marker: "string" },
    follows: (response, wanted) => {
      const marker = strip(text(wanted, "postscript_marker"));
      const blank = `[${SPACE}]?`;
      const source = marker === "P.P.S" ? `p\\.${blank}p\\.${blank}s` : marker === "P.S." ? `p\\.${blank}s\\.` : marker.toLowerCase();
      return pattern(source, undefined, "u").test(response.toLowerCase());
    },
  },
  "detectable_format:number_bullet_lists": {
    needs: { num_bullets: "number" },
    follows: (response, wanted) =>
      matches(response, STAR_BULLETS).length + matches(response, DASH_BULLETS).length === count(wanted, "num_bullets"),
  },
  "detectable_format:constrained_response": {
    needs: {},
    follows: (response) => CONSTRAINED.some((option) => response.includes(option)),
  },
  "detectable_format:number_highlighted_sections": {
    needs: { num_highlights: "number" },
    follows: (response, wanted) => {
      const single = matches(response, /\*[^\n*]*\*/g).filter((found) => !isBlank(found.replace(/^\*+|\*+$/g, "")));
      const double = matches(response, /\*\*[^\n*]*\*\*/g).filter((found) => !isBlank(found.slice(2, -2)));
      return single.length + double.length >= count(wanted, "num_highlights");
    },
  },
  "detectable_format:multiple_sections": {
    needs: { section_spliter: "string", num_sections: "number" },
    follows: (response, wanted) => {
      const around = (source: string) => `[${SPACE}]?(?:${source})[${SPACE}]?\\p{Nd}+[${SPACE}]?`;
      return matches(response, pattern(strip(text(wanted, "section_spliter")), around, "gu")).length >= count(wanted, "num_sections");
    },
  },
  "detectable_format:json_format": { needs: {}, follows: isJson },
  "detectable_format:title": {
    needs: {},
    follows: (response) => matches(response, /<<[^\n]+>>/g).some((title) => !isBlank(title.replace(/^<+/, "").replace(/>+$/, ""))),
  },
  "combination:two_responses": {
    needs: {},
    follows: (response) => {
      const both = parts(response.split("******"));
      return both?.length === 2 && strip(both[0] as string) !== strip(both[1] as string);
    },
  },
  "combination:repeat_prompt": {
    needs: { prompt_to_repeat: "string" },
    follows: (response, wanted) =>
      strip(response)
        .toLowerCase()
        .startsWith(strip(text(wanted, "prompt_to_repeat")).toLowerCase()),
  },
  "startend:end_checker": {
    needs: { end_phrase: "string" },
    follows: (response, wanted) =>
      strip(response)
        .replace(/^"+|"+$/g, "")
        .toLowerCase()
        .endsWith(strip(text(wanted, "end_phrase")).toLowerCase()),
  },
  "startend:quotation": {
    needs: {},
    follows: (response) => /^".*"$/s.test(strip(response)),
  },
  "change_case:capital_word_frequency": {
    needs: relation("capital_frequency", "capital_relation"),
    follows: (response, wanted) =>
      compared(matches(response, WORDS).filter(isUpper).length, text(wanted, "capital_relation"), count(wanted, "capital_frequency")),
  },
  "change_case:english_capital": { needs: {}, follows: (response, _, detect) => isUpper(response) && isEnglish(response, detect) },
  "change_case:english_lowercase": { needs: {}, follows: (response, _, detect) => isLower(response) && isEnglish(response, detect) },
  "punctuation:no_comma": { needs: {}, follows: (response) => !response.includes(",") },
};
