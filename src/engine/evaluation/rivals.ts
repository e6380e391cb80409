import { bestStrength, rivalResults } from "../../core/evaluation/evaluate.js";
import { type EvaluationRecord, keyOf, type TrainingRecord, type TunedRecord } from "../../core/evaluation/records.js";
import { randomArms } from "../../core/search/confirm/arms.js";
import { toHead, toIndex } from "../../core/search/scorer.js";
import type { Calibration } from "../../protocol/calibration.js";
import type { TaskResult } from "../../protocol/engine.js";
import type { Turn } from "../queue.js";
import type { Model } from "../run/model.js";
import type { SetBatch } from "../run/set-batch.js";
import { labelTokens } from "../search/task-items.js";
import { hiddenStates } from "./hidden-states.js";
import type { Plan, Work } from "./plan.js";
import { tunedStrengths, zeroTuning } from "./zero-tuning.js";

/** What ZeroTuning may scale the initial token's attention by; chosen on the training prompts. */
const ZERO_TUNING = [0.3, 0.6, 1.5, 2.5] as const;
const RANDOM_SETS = 3;
const SEED = 42;

/** Where the records of a run go, and which are there from before. */
export interface Records {
  readonly all: EvaluationRecord[];
  add(record: EvaluationRecord): Promise<void>;
  has(key: Parameters<typeof keyOf>[0]): boolean;
}

/** The rivals that need evaluations of their own: random sets of the set's size, ZeroTuning by head or of all eligible heads alike, and hidden states for the probe. */
export class RivalArms {
  private readonly random: Calibration[];

  constructor(
    private readonly model: Model,
    private readonly set: Calibration | null,
  ) {
    const { heads } = model.info;
    const eligible = model.eligibleHeads;
    const sets = set
      ? randomArms(
          eligible.map((head) => toIndex(head, heads)),
          { heads: set.heads.map((head) => toIndex(head, heads)) },
          RANDOM_SETS,
          SEED,
        )
      : [];
    this.random = sets.map((arm) => ({ ...(set as Calibration), heads: arm.heads.map((head) => toHead(head, heads)) }));
  }

  /** ZeroTuning's strengths that compete on the training prompts: one for all heads, and those tuned by gradient. */
  private strengths(records: readonly EvaluationRecord[], { task, repeat }: Work): Calibration[] {
    const { model } = this;
    if (!model.info.act.supported) return [];
    const tuned = records.find(
      (record): record is TunedRecord => record.type === "tuned" && record.task === task.name && record.repeat === repeat,
    );
    const common = ZERO_TUNING.map((beta) => zeroTuning(model, { beta }));
    return tuned?.betas ? [...common, zeroTuning(model, { betas: tuned.betas })] : common;
  }

  /** Tunes ZeroTuning for each task and repeat that has no record of it yet. */
  async tune(training: readonly Work[], records: Records, turn: Turn, tell: (done: number, total: number) => void): Promise<void> {
    if (!this.model.info.act.supported) return;
    const groups = new Map<string, Work[]>();
    for (const work of training) {
      const key = `${work.task.name} ${work.repeat}`;
      groups.set(key, [...(groups.get(key) ?? []), work]);
    }
    for (const [index, own] of [...groups.values()].entries()) {
      const [{ task, repeat }] = own as [Work];
      const about = { type: "tuned" as const, task: task.name, repeat };
      if (!records.has(about)) await records.add({ ...about, betas: await tunedStrengths(this.model, own, turn) });
      tell(index + 1, groups.size);
    }
  }

  /** Scores of a training prompt in every arm. */
  async training(batch: SetBatch, work: Work, records: readonly EvaluationRecord[], signal: AbortSignal): Promise<TrainingRecord> {
    const { task, repeat, item, tokens } = work;
    const arms = [null, ...(this.set ? [this.set] : []), ...this.strengths(records, work)];
    const scores = (await batch.prompt(tokens, arms, signal)).map((logits) => this.scoresOf(work, logits));
    const own = this.set ? 2 : 1;
    return {
      type: "training",
      task: task.name,
      repeat,
      id: item.id,
      label: item.label,
      off: scores[0] as number[],
      on: this.set ? (scores[1] as number[]) : null,
      zeroTuning: scores.slice(own),
    };
  }

  /** Calibrations to evaluate a judged prompt under, behind the run's own: random sets, then ZeroTuning as the training prompts chose it. */
  judged(records: readonly EvaluationRecord[], work: Work): Calibration[] {
    const { task, repeat } = work;
    const training = records.filter(
      (record): record is TrainingRecord => record.type === "training" && record.task === task.name && record.repeat === repeat,
    );
    const zero = this.strengths(records, work)[bestStrength(training)];
    return [...this.random, ...(zero ? [zero] : [])];
  }

  /** The same arms' scores, from their logits. */
  scores(work: Work, logits: readonly Float32Array[]): { random: number[][]; zeroTuning: number[] } {
    const scores = logits.map((one) => this.scoresOf(work, one));
    return { random: scores.slice(0, this.random.length), zeroTuning: scores[this.random.length] ?? [] };
  }

  /** Hidden states of all prompts, for the probe. */
  async hidden(plan: Plan, records: Records, turn: Turn, tell: (done: number, total: number) => void): Promise<void> {
    const all = [...plan.training, ...plan.works];
    const key = ({ task, repeat, item }: Work) => ({ type: "hidden" as const, task: task.name, repeat, id: item.id });
    const missing = all.filter((work) => !records.has(key(work)));
    await hiddenStates(
      this.model,
      missing.map(({ tokens }) => tokens),
      turn,
      async (state, index) => {
        const work = missing[index] as Work;
        await records.add({ ...key(work), state: Buffer.from(state.buffer).toString("base64") });
        tell(all.length - missing.length + index + 1, all.length);
      },
    );
  }

  async results(task: string, records: readonly EvaluationRecord[], turn: Turn): Promise<Pick<TaskResult, "rivals" | "biasFree">> {
    return await rivalResults(task, records, SEED, () => turn.rest());
  }

  private scoresOf({ task, item }: Work, logits: Float32Array): number[] {
    return labelTokens(this.model, task, item.choices?.length).map((token) => logits[token] as number);
  }
}

export function recordsOf(from: EvaluationRecord[], append: (record: EvaluationRecord) => Promise<void>): Records {
  const done = new Set(from.map(keyOf));
  return {
    all: from,
    has: (key) => done.has(keyOf(key)),
    add: async (record) => {
      await append(record);
      done.add(keyOf(record));
      from.push(record);
    },
  };
}
