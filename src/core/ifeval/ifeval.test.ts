import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { judge, parseInstructionPrompts, parseResponses } from "./ifeval.js";
import { INSTRUCTIONS } from "./instructions.js";
import { languageDetector } from "./language.js";

const detectLanguage = await languageDetector();
const data = process.env.ACT_DATA ?? path.resolve("../shared/data");
const verdicts = `${data}/ifeval/verdicts.jsonl`;
const skip = fs.existsSync(verdicts) ? false : "the official verdicts are not here (ACT_DATA/ifeval/verdicts.jsonl)";

test("every official verdict", { skip }, () => {
  const train = `${data}/ifeval/train.jsonl`;
  const prompts = new Map(parseInstructionPrompts(fs.readFileSync(train, "utf8"), train).map((prompt) => [prompt.key, prompt]));
  const text = fs.readFileSync(verdicts, "utf8");
  const official = text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line).followed as boolean[]);
  const wrong = parseResponses(text, verdicts, prompts).flatMap(({ key, response }, row) => {
    const prompt = prompts.get(key);
    const own = prompt ? judge(prompt, response, detectLanguage) : [];
    return own.flatMap((verdict, i) =>
      verdict === official[row]?.[i]
        ? []
        : [`${prompt?.instruction_id_list[i]} ${JSON.stringify(prompt?.kwargs[i])}: ${verdict} for ${JSON.stringify(response)}`],
    );
  });
  assert.deepEqual(wrong, []);
});

/** Verdicts on one instruction. */
const follows = (id: string, kwargs: Record<string, unknown>, response: string) =>
  judge({ key: 1, prompt: "p", instruction_id_list: [id], kwargs: [kwargs] }, response, detectLanguage)[0];

test("there are the 25 published kinds, and a blank answer follows none", () => {
  const ids = Object.keys(INSTRUCTIONS);
  assert.equal(ids.length, 25);
  for (const id of ids) assert.equal(follows(id, {}, " \n"), false, id);
});

test("odd cases, as the official checker has them", () => {
  const cases: [string, Record<string, unknown>, string, boolean][] = [
    ["punctuation:no_comma", {}, "one, two", false],
    ["punctuation:no_comma", {}, "one\uff0c two", true],
    ["keywords:existence", { keywords: ["Cat", "dog"] }, "CATS and dogs", true],
    ["keywords:existence", { keywords: ["(cat"] }, "a (cat", true],
    ["keywords:forbidden_words", { forbidden_words: ["rock"] }, "rocket", true],
    ["keywords:forbidden_words", { forbidden_words: ["rock"] }, "a ROCK.", false],
    ["keywords:forbidden_words", { forbidden_words: ["\u00fcber"] }, "es ist \u00dcber uns", false],
    ["keywords:frequency", { keyword: "the", relation: "less than", frequency: 2 }, "The other", false],
    ["keywords:letter_frequency", { letter: "A", let_relation: "at least", let_frequency: 3 }, "aAa", true],
    ["length_constraints:number_words", { relation: "at least", num_words: 4 }, "It's a well-known", true],
    ["length_constraints:number_sentences", { relation: "less than", num_sentences: 3 }, "One. Two! e.g. three", false],
    ["length_constraints:number_paragraphs", { num_paragraphs: 2 }, "one\n***\ntwo\n***", true],
    ["length_constraints:number_paragraphs", { num_paragraphs: 2 }, "one *** *** two", false],
    [
      "length_constraints:nth_paragraph_first_word",
      { num_paragraphs: 2, nth_paragraph: 2, first_word: "Weekend" },
      "a\n\n'weekend, b",
      true,
    ],
    ["length_constraints:nth_paragraph_first_word", { num_paragraphs: 3, nth_paragraph: 2, first_word: "weekend" }, "a\n\nweekend", false],
    ["detectable_content:number_placeholders", { num_placeholders: 2 }, "[a] [b\n] [c]", true],
    ["detectable_content:postscript", { postscript_marker: "P.P.S" }, "text p. p.s bye", true],
    ["detectable_content:postscript", { postscript_marker: "P.S." }, "P.S bye", false],
    ["detectable_format:number_bullet_lists", { num_bullets: 2 }, "* a\n** b\n  - c", true],
    ["detectable_format:number_bullet_lists", { num_bullets: 1 }, "* a\r\ntext * b", true],
    ["detectable_format:constrained_response", {}, "I say: My answer is no. Really.", true],
    ["detectable_format:number_highlighted_sections", { num_highlights: 2 }, "*a* and **b**", true],
    ["detectable_format:number_highlighted_sections", { num_highlights: 2 }, "*a\nb* ** **", false],
    ["detectable_format:multiple_sections", { section_spliter: "SECTION", num_sections: 2 }, "SECTION 1 a SECTION2 b", true],
    ["detectable_format:json_format", {}, '```json\n{"a": NaN}\n```', true],
    ["detectable_format:json_format", {}, "{a: 1}", false],
    ["detectable_format:title", {}, "<<>>", false],
    ["detectable_format:title", {}, "x <<A title>>", true],
    ["combination:two_responses", {}, "a ****** a", false],
    ["combination:two_responses", {}, "****** a ****** b", true],
    ["combination:repeat_prompt", { prompt_to_repeat: "Say It " }, " say it then more", true],
    ["startend:end_checker", { end_phrase: "The end." }, 'so. THE END."', true],
    ["startend:quotation", {}, ' "a\nb" ', true],
    ["startend:quotation", {}, '"', false],
    ["change_case:capital_word_frequency", { capital_relation: "at least", capital_frequency: 2 }, "NASA-ESA", true],
    ["change_case:english_capital", {}, "THE WEATHER OF THE NEXT WEEK IS FINE 2.", true],
    ["change_case:english_capital", {}, "DAS WETTER DER N\u00c4CHSTEN WOCHE IST SCH\u00d6N UND WARM.", false],
    ["change_case:english_capital", {}, "The weather", false],
    ["change_case:english_lowercase", {}, "this is a line about the weather in town.", true],
    ["language:response_language", { language: "fr" }, "Il fait beau aujourd'hui et nous allons nous promener.", true],
    ["language:response_language", { language: "fr" }, "123 456", true],
  ];
  const wrong = cases.filter(([id, kwargs, response, expected]) => follows(id, kwargs, response) !== expected);
  assert.deepEqual(wrong, []);
});

test("bad files are one sentence that names the line", () => {
  const prompt = { key: 1, prompt: "p", instruction_id_list: ["punctuation:no_comma"], kwargs: [{}] };
  const of = (...rows: unknown[]) => rows.map((row) => (typeof row === "string" ? row : JSON.stringify(row))).join("\n");
  const refused: [string, RegExp][] = [
    ["", /p\.jsonl is empty/],
    [of(prompt, "{"), /p\.jsonl, line 2 is no JSON/],
    [of({ ...prompt, key: "1" }), /line 1: key must be a number/],
    [of({ ...prompt, instruction_id_list: ["no:such"] }), /no kind of instruction "no:such" among the 25/],
    [of({ ...prompt, instruction_id_list: ["toString"] }), /no kind of instruction "toString"/],
    [of({ ...prompt, kwargs: [] }), /1 instructions and 0 kwargs/],
    [of({ ...prompt, instruction_id_list: ["keywords:existence"] }), /keywords:existence needs "keywords" \(strings\)/],
  ];
  for (const [text, message] of refused) assert.throws(() => parseInstructionPrompts(text, "p.jsonl"), message);
  assert.equal(parseInstructionPrompts(`\ufeff${of(prompt)}\n`, "p.jsonl").length, 1);
  const known = new Map([[1, prompt]]);
  assert.throws(() => parseResponses(of({ key: 2, response: "x" }), "r.jsonl", known), /r\.jsonl, line 1: no prompt has the key 2/);
  assert.throws(() => parseResponses(of({ key: 1 }), "r.jsonl", known), /r\.jsonl, line 1: response is missing/);
});
