/**
 * What the filters of a suggestion cost and bring: `node scripts/run.mjs bench filters`. Real files of many languages, found where they lie on this
 * machine (ACT_CORPUS names more folders, parted by colons): a hole is cut, and the author's own text is given as the model's answer. What comes
 * out changed is damage. Half of the files are for tuning (ACT_CORPUS_HALF=tuning), the other half is what is reported. With ACT_HOLES=120 a model
 * (ACT_MODEL, else the default one) fills as many holes, as the editor asks it, and its answers are compared without filters, with all, and with all but one.
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
import { corpus, type Hole, holes } from "../fixtures/corpus.js";

interface Damage {
  language: string;
  lines: string;
  blocks: string;
  filters: Partial<Record<FilterName, number>>;
  notOffered: number;
}

export async function run({ root }: { root: string }): Promise<unknown> {
  const half = process.env.ACT_CORPUS_HALF === "tuning" ? "tuning" : "held out";
  const whole = process.env.ACT_CORPUS_WINDOW === "whole";
  const counts = new Map<string, { line: [number, number]; block: [number, number]; by: Map<FilterName, number>; cut: number }>();
  const count = (language: string) => {
    const known = counts.get(language) ?? { line: [0, 0], block: [0, 0], by: new Map(), cut: 0 };
    counts.set(language, known);
    return known;
  };
  const all = count("all");
  let slowest = 0;
  let spent = 0;
  let answers = 0;
  for (const file of corpus(root, half)) {
    const own = count(file.language);
    for (const hole of holes(file, whole)) {
      const context = fileContext(file.language, hole.cursor, hole.truth);
      // By the place of its cursor a hole of several lines may be one that only a line is offered for: that is no damage.
      if (hole.kind === "block" && context.extent === "line") {
        own.cut++;
        all.cut++;
        continue;
      }
      const start = performance.now();
      const { text, applied } = postprocess(hole.truth, context);
      const took = performance.now() - start;
      slowest = Math.max(slowest, took);
      spent += took;
      answers++;
      const changed = text !== hole.truth;
      for (const one of [own, all]) {
        one[hole.kind][1]++;
        if (!changed) continue;
        one[hole.kind][0]++;
        for (const name of applied) one.by.set(name, (one.by.get(name) ?? 0) + 1);
      }
      if (changed && process.env.ACT_SHOW && (process.env.ACT_SHOW === "all" || process.env.ACT_SHOW === file.language))
        console.error(
          `--- ${file.language} ${hole.path} ${applied.join()}\n${hole.cursor.prefix.slice(-160)}⟦${hole.truth}⟧${hole.cursor.suffix.slice(0, 100)}\n=> ${JSON.stringify(text)}`,
        );
    }
  }
  /** With Wilson's interval. */
  const rate = ([hit, of]: [number, number]) => {
    if (of === 0) return "none";
    const z2 = 1.96 ** 2;
    const centre = (hit + z2 / 2) / (of + z2);
    const half = (1.96 / (of + z2)) * Math.sqrt((hit * (of - hit)) / of + z2 / 4);
    const [low, high] = [centre - half, centre + half];
    return `${hit} of ${of} (${((100 * hit) / of).toFixed(2)} %, ${(100 * low).toFixed(2)} to ${(100 * high).toFixed(2)})`;
  };
  const rows: Damage[] = [...counts].map(([language, { line, block, by, cut }]) => ({
    language,
    lines: rate(line),
    blocks: rate(block),
    filters: Object.fromEntries(by),
    notOffered: cut,
  }));
  const asked = Number(process.env.ACT_HOLES ?? 0);
  return {
    half,
    rows,
    milliseconds: { mean: spent / answers, slowest },
    ...(asked > 0 && { brings: await brings(root, asked) }),
  };
}

interface Answer {
  hole: Hole;
  context: FilterContext;
  raw: string;
}

/** Answers of the model at some holes, cut where the editor stops the stream. */
async function answers(root: string, count: number): Promise<Answer[]> {
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

function repeatsSuffix(text: string, { suffix }: FilterContext): boolean {
  const [rest = "", ...below] = suffix.split("\n");
  const lines = text.split("\n");
  if (rest.trim() !== "" && (lines[0] ?? "").trimEnd().endsWith(rest.trim())) return true;
  const next = below.find((line) => line.trim() !== "");
  return next !== undefined && /\w/.test(next) && lines.slice(1).some((line) => line.trimEnd() === next.trimEnd());
}

function judge(name: string, given: readonly Answer[], filter: (answer: Answer) => string): Row {
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

async function brings(root: string, count: number): Promise<Row[]> {
  const given = await answers(root, count);
  return [
    judge("none", given, ({ raw }) => raw),
    judge("all", given, ({ raw, context }) => postprocess(raw, context).text),
    ...filters.map(([name]) => judge(`all but ${name}`, given, (answer) => without(name, answer))),
  ];
}
