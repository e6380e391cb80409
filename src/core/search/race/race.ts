/** Candidates without gradients: every head alone, in a race over prompts or exhaustively as published, and sets that are fitted to the outcome. */
import { type Candidate, distinct } from "../confirm/arms.js";
import type { SearchEvent } from "../events.js";
import type { Plan } from "../plan.js";
import type { Run } from "../run.js";
import { candidateSets, publishedRule, refined } from "./candidates.js";
import { headScore, raceSingles, singleJobs } from "./singles.js";

/** Prompts that the single heads are measured on. */
export function raceLength({ rungs }: Plan): number {
  return rungs.reduce((sum, { prompts }) => sum + prompts, 0);
}

export async function* exhaustiveCandidates(run: Run): AsyncGenerator<SearchEvent, Candidate[]> {
  const { memory, progress, signal } = run;
  const { choose } = run.parts;
  yield* run.baselines(choose);
  for (const [done, item] of choose.entries())
    yield* progress.watch("choose", choose.length, memory.needScores(singleJobs(memory.scorer.eligible, [item]), signal), () => done);
  yield ranking(run, choose);
  const candidate = publishedRule(memory, choose);
  return candidate.heads.length > 0 ? [candidate] : [];
}

export async function* raceCandidates(run: Run): AsyncGenerator<SearchEvent, Candidate[]> {
  const { memory, signal, plan, progress } = run;
  const { choose } = run.parts;
  let measured = choose.slice(0, raceLength(plan));
  const seen = () => measured.filter((item) => memory.outcomesKnown(item)).length;
  // The first leg needs the baselines of its own prompts only: so there is a ranking to look at soon.
  const opening = measured.slice(0, plan.rungs[0]?.prompts);
  const race = (items: readonly number[], rungs: Plan["rungs"]) =>
    progress.watch("choose", measured.length, raceSingles(memory, items, rungs, run.grades, run.racing, signal), seen, measured);
  yield* run.baselines(opening);
  yield* race(opening, plan.rungs.slice(0, 1));
  yield* run.baselines(choose);
  if (yield* run.late("race", 0.35)) measured = opening;
  else yield* race(choose, plan.rungs);
  progress.begin("sets");
  let candidates = yield* candidateSets(memory, measured, choose, run.grades);
  yield ranking(run, measured, candidates);

  // Sets race on choosing prompts that the single heads did not see first.
  const order = [...choose.slice(measured.length), ...measured];
  let reach = 0;
  for (const { prompts: more, sets } of plan.legs) {
    if (yield* run.late(`leg at ${reach}`, 0.5)) break;
    if (reach > 0) candidates = run.bestOf(candidates, order.slice(0, reach)).slice(0, sets);
    yield* run.evaluate("choose", candidates, order.slice(reach, reach + more));
    reach = Math.min(order.length, reach + more);
    run.note(candidates, order.slice(0, reach));
  }
  candidates = run.bestOf(candidates, order.slice(0, Math.max(1, reach)));

  const trial = order.slice(0, Math.min(order.length, plan.refine.prompts));
  for (let round = 1; round <= plan.refine.rounds; round++) {
    if (yield* run.late(`refinement ${round}`, 0.6)) break;
    const [leader] = run.bestOf(candidates, trial);
    if (!leader) break;
    // Later rounds move less: the prediction is good near what was measured only.
    const next = yield* refined(memory, leader, trial, choose, round, Math.max(2, Math.round(16 / round)));
    if (!next || candidates.some(({ heads }) => heads.join() === next.heads.join())) break;
    yield* run.evaluate("choose", [next], trial);
    candidates = [next, ...candidates];
    run.note(candidates, trial);
  }
  candidates = run.bestOf(candidates, trial);
  // The published rule always has a seat: it is what the race is measured against.
  return distinct([...candidates.slice(0, plan.finalists), ...[publishedRule(memory, measured)].filter(({ heads }) => heads.length > 0)]);
}

/** The whole ranking once more, with who is kept. */
function ranking(run: Run, items: readonly number[], candidates: readonly Candidate[] = []): SearchEvent {
  const { memory, grades, racing } = run;
  const { eligible } = memory.scorer;
  // All heads together are a candidate too, but keep no head for its own sake.
  const kept = new Set(candidates.filter(({ heads }) => heads.length < eligible.length).flatMap(({ heads }) => heads));
  const scores = eligible.map((head) => {
    const score = headScore(memory, head, items, grades, racing);
    return kept.has(head) ? { ...score, state: "kept" as const } : score;
  });
  return run.progress.event(undefined, scores);
}
