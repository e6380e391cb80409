import { readFile } from "node:fs/promises";
import path from "node:path";
import * as v from "valibot";
import { CHARACTERS_PER_TOKEN, RELATED_SHARE } from "../../core/completion/budget.js";
import { infillItems, relatedPieces } from "../../core/search/workspace-items.js";
import { PUBLISHED_SEARCH_SAMPLES } from "../../core/tasks/index.js";
import type { CalibrateParams } from "../../protocol/engine.js";
import { ActError } from "../../protocol/errors.js";
import { writeFileAtomic } from "../../store/atomic.js";
import { promptsFile } from "../../store/journal.js";
import { sourceFiles } from "../../store/workspace/source-files.js";
import { infillTokens } from "../handlers/infill.js";
import type { Turn } from "../queue.js";
import type { Model } from "../run/model.js";
import type { ScorerItem } from "./scorer.js";
import type { Subject } from "./subject.js";

/** Enough for the three parts of the richest plan. */
const MOST_ITEMS = 480;
/** Tokens of the prompt, as many as the editor takes by default, and of the true continuation that is scored. */
const PROMPT_TOKENS = 1024;
const TRUTH_TOKENS = 16;

const TokensSchema = v.array(v.pipe(v.number(), v.integer(), v.minValue(0)));
const KeptSchema = v.array(
  v.object({
    tokens: TokensSchema,
    answers: v.array(v.number()),
    truth: TokensSchema,
    firstLine: v.pipe(v.number(), v.integer(), v.minValue(0)),
  }),
);

/** A search on a folder. Its prompts are kept beside its journal: the files change while the user works, and the search goes on with the same ones. */
export async function workspaceSubject(
  model: Model,
  { seed, journal, resume }: Pick<CalibrateParams, "seed" | "journal" | "resume">,
  folder: string,
  turn: Turn,
): Promise<Subject> {
  const file = promptsFile(journal);
  const kept = resume ? await turn.during(keptItems(file)) : null;
  if (kept) return subjectFor(folder, kept);
  const subject = await workspaceItems(model, folder, seed, turn);
  await turn.during(writeFileAtomic(file, JSON.stringify(subject.items)));
  return subject;
}

/** The prompts of the search that is to go on; null where none can be read. The journal's own check says whether they are the right ones. */
async function keptItems(file: string): Promise<ScorerItem[] | null> {
  try {
    return v.parse(KeptSchema, JSON.parse(await readFile(file, "utf8")));
  } catch {
    return null;
  }
}

function subjectFor(folder: string, items: ScorerItem[]): Subject {
  return {
    // Not the whole path: head sets are passed on.
    name: `the files of ${path.basename(path.resolve(folder))}`,
    tasks: [],
    versions: {},
    items,
    contentFree: [],
    skipped: 0,
    publishedSamples: PUBLISHED_SEARCH_SAMPLES,
    scoring: "mean log-likelihood of a true token",
  };
}

/** Fill-in-the-middle items from the sources of a folder, in the form the editor uses with this model. @throws ActError `data` */
export async function workspaceItems(model: Model, folder: string, seed: number, turn: Turn): Promise<Subject> {
  const files = await turn.during(sourceFiles(folder, turn.signal));
  const found = infillItems(files, MOST_ITEMS, seed);
  if (found.length === 0) throw new ActError("data", `The sources in ${folder} give no item to complete: they are too short.`);
  const items: ScorerItem[] = [];
  for (const item of found) {
    await turn.rest();
    const { path: file, prefix, suffix, truth } = item;
    const context = relatedPieces(item, files, PROMPT_TOKENS * RELATED_SHARE * CHARACTERS_PER_TOKEN, seed);
    const { prompt } = infillTokens(model, {
      prefix,
      suffix,
      path: file,
      context,
      maxPromptTokens: PROMPT_TOKENS,
      maxTokens: TRUTH_TOKENS,
    });
    const tokens = model.native.tokenize(truth, false).slice(0, TRUTH_TOKENS);
    items.push({ tokens: prompt, answers: [], truth: tokens, firstLine: firstLineTokens(model, tokens) });
  }
  return subjectFor(folder, items);
}

/** Tokens until the first one that holds a line feed; all of them where none does. */
function firstLineTokens(model: Model, tokens: readonly number[]): number {
  const end = tokens.findIndex((token) => model.native.detokenize([token], false).includes("\n"));
  return end < 0 ? tokens.length : end;
}
