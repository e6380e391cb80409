/**
 * What each filter of a suggestion is for: `node scripts/run.mjs bench filter-answers`. Holes of `bench filters` are filled by a model (ACT_MODEL, else
 * the default one) as the editor asks it, and its answers are compared without filters, with all, and with all but one. ACT_HOLES: how many, 120.
 */
import { afterBlanks, finishedAt } from "../../src/core/completion/extent.js";
import { bracketsOf, mismatches } from "../../src/core/completion/grammar.js";
import { type FilterContext, type FilterName, fileContext, filters, postprocess } from "../../src/core/completion/postprocess.js";
import { choose, random } from "../../src/core/numbers/random.js";
import { Engine } from "../../src/engine/engine.js";
import { infill } from "../../src/engine/handlers/infill.js";
import { load } from "../../src/engine/handlers/load.js";
import { Backends } from "../../src/engine/native/backends.js";
import { DEFAULT_MODEL, modelPath } from "../../src/store/models.js";
import { corpus, type Hole, holes } from "./filters.js";

export interface Answer {
  hole: Hole;
  context: FilterContext;
  raw: string;
}

/** Answers of the model at some holes, cut where the editor stops the stream. */
export async function answers(root: string, count: number): Promise<Answer[]> {
  const { signal } = new AbortController();
  const engine = new Engine(new Backends(() => {}), () => {});
  const path = process.env.ACT_MODEL || modelPath(DEFAULT_MODEL);
  const call = { signal, progress: () => {} };
  const info = await load(engine, { path, contextSize: 2048, sequences: 1 }, call);
  const all = corpus(root, "held out").flatMap((file) => choose(holes(file, false), 2, random(1)));
  const found: Answer[] = [];
  for (const hole of choose(all, count, random(2))) {
    const context = fileContext(hole.language, hole.cursor, hole.truth);
    if (hole.kind === "block" && context.extent === "line") continue;
    const sent = info.infill ? context.prefix : context.prefix.trimEnd();
    const maxTokens = context.extent === "line" ? 48 : 96;
    const { text } = await infill(
      engine,
      { prefix: sent, suffix: context.suffix, maxPromptTokens: 1024, maxTokens, calibration: null },
      call,
    );
    const raw = afterBlanks(text, context.prefix.slice(sent.length), true) ?? "";
    // The stream is stopped at the first place that ends the extent; a line feed behind the answer lets its last line be judged.
    const end = finishedAt(raw, context.extent, context, context.rules, context.tabSize);
    found.push({ hole, context, raw: end >= 0 ? raw.slice(0, end) : raw });
  }
  await engine.loaded?.dispose();
  return found;
}

interface Row {
  filters: string;
  shown: number;
  /** The author's own text, blanks at the end apart. */
  equal: number;
  /** The answer says again what stands behind the cursor. */
  repeatsSuffix: number;
  /** Brackets fit no worse than in the author's file. */
  fits: string;
}

export function repeatsSuffix(text: string, { suffix }: FilterContext): boolean {
  const [rest = "", ...below] = suffix.split("\n");
  const lines = text.split("\n");
  if (rest.trim() !== "" && (lines[0] ?? "").trimEnd().endsWith(rest.trim())) return true;
  const next = below.find((line) => line.trim() !== "");
  return next !== undefined && /\w/.test(next) && lines.slice(1).some((line) => line.trimEnd() === next.trimEnd());
}

export function judge(name: string, given: readonly Answer[], filter: (answer: Answer) => string): Row {
  const row = { filters: name, shown: 0, equal: 0, repeatsSuffix: 0, fits: "" };
  let judged = 0;
  let fits = 0;
  for (const answer of given) {
    const { hole, context } = answer;
    const text = filter(answer);
    if (text.trim() === "") continue;
    row.shown++;
    if (text.trimEnd() === hole.truth) row.equal++;
    if (repeatsSuffix(text, context)) row.repeatsSuffix++;
    const { grammar } = context.rules;
    if (grammar === null) continue;
    judged++;
    const wrong = (middle: string) => mismatches(bracketsOf(context.prefix + middle + context.suffix, grammar), false);
    if (wrong(text) <= wrong(hole.truth)) fits++;
  }
  return { ...row, fits: `${fits} of ${judged}` };
}

/** All filters but one. */
function without(name: FilterName, { raw, context }: Answer): string {
  let text = raw;
  for (const [other, filter] of filters) if (other !== name) text = filter(text, context);
  return text;
}

export async function run({ root }: { root: string }): Promise<unknown> {
  const given = await answers(root, Number(process.env.ACT_HOLES ?? 120));
  return {
    answers: given.length,
    rows: [
      judge("none", given, ({ raw }) => raw),
      judge("all", given, ({ raw, context }) => postprocess(raw, context).text),
      ...filters.map(([name]) => judge(`all but ${name}`, given, (answer) => without(name, answer))),
    ],
  };
}
