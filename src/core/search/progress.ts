/** What a search tells while it runs: its parts, its best set, and how long what is left will take. */
import { PARTS } from "../../protocol/calibrate-panel.js";
import type { CalibrateProgress, HeadScore } from "../../protocol/engine.js";
import type { SearchEvent } from "./events.js";
import { headScore } from "./race/singles.js";
import type { Run } from "./run.js";
import type { HeadIndex } from "./scorer.js";

export class Progress {
  best: CalibrateProgress["best"] = null;
  private part: CalibrateProgress["part"] = "baseline";
  private total = 0;
  /** Work that is still to come, in tokens x layers, by step; what a step has done is taken off. */
  private readonly left = new Map<string, number>();
  private step: string | null = null;
  private readonly before: { tokenLayers: number; seconds: number };

  constructor(private readonly run: Run) {
    const { tokenLayers, seconds } = run.memory.spent;
    this.before = { tokenLayers, seconds };
  }

  /** What a step will take, in passes over whole prompts. */
  expect(step: string, passes: number): void {
    const { parts, memory } = this.run;
    this.left.set(step, passes * this.run.meanTokens(parts.choose) * memory.scorer.layers);
  }

  /** From now on work counts for this step; what the step before has left over will not be done. */
  begin(step: string): void {
    if (this.step !== null && this.step !== step) this.left.delete(this.step);
    this.step = step;
  }

  /** Passes records on and tells the progress after each. `done` counts what is known, told how many results a record adds; default: their sum. */
  async *watch<T>(
    part: CalibrateProgress["part"],
    total: number,
    events: AsyncGenerator<SearchEvent, T>,
    done?: (added: number) => number,
    ranked?: readonly number[],
  ): AsyncGenerator<SearchEvent, T> {
    let counted = 0;
    for (;;) {
      const next = await events.next();
      if (next.done) return next.value;
      yield next.value;
      if (next.value.type !== "record") continue;
      const { record } = next.value;
      // Baselines are needed in between too: what is shown never goes back.
      if (PARTS.indexOf(part) > PARTS.indexOf(this.part)) this.part = part;
      this.total = total;
      let added = 0;
      const touched = new Set<HeadIndex>();
      if (record.type === "baseline" || record.type === "scores" || record.type === "slopes") {
        added = record.results.length;
        if (record.type === "scores") for (const { heads } of record.results) if (heads.length === 1) touched.add(heads[0] as HeadIndex);
        if (this.step !== null) this.left.set(this.step, Math.max(0, (this.left.get(this.step) ?? 0) - record.cost.tokenLayers));
      }
      counted += added;
      const items = ranked ?? this.run.parts.choose;
      const scores = [...touched].map((head) => headScore(this.run.memory, head, items, this.run.grades, this.run.racing));
      yield this.event(Math.min(total, done ? done(added) : counted), scores);
    }
  }

  /** Tells scores of heads, with the counts as they are. */
  event(done: number = this.total, heads: HeadScore[] = []): SearchEvent {
    const { forwardPasses, seconds } = this.run.memory.spent;
    return {
      type: "progress",
      progress: {
        part: this.part,
        done,
        total: this.total,
        promptsPerSecond: seconds > 0 ? forwardPasses / seconds : 0,
        secondsLeft: this.secondsLeft,
        forwardPasses: Math.round(forwardPasses),
        heads,
        best: this.best,
      },
    };
  }

  /** The work left at the pace of this run so far, but never more than the budget has left. */
  private get secondsLeft(): number | null {
    const { spent } = this.run.memory;
    const { budgetSeconds } = this.run.options;
    const seconds = spent.seconds - this.before.seconds;
    const rate = seconds > 0 ? (spent.tokenLayers - this.before.tokenLayers) / seconds : 0;
    const work = [...this.left.values()].reduce((a, b) => a + b, 0);
    const estimate = rate > 0 && this.left.size > 0 ? work / rate : null;
    if (budgetSeconds === undefined) return estimate;
    return Math.max(0, Math.min(estimate ?? Number.POSITIVE_INFINITY, budgetSeconds - this.run.elapsed));
  }
}
