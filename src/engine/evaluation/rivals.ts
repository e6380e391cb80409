import { bestStrength, rivalResults } from "../../core/evaluation/evaluate.js";
import { type EvaluationRecord, keyOf, type TrainingRecord } from "../../core/evaluation/records.js";
import { randomArms } from "../../core/search/confirm/arms.js";
import { toHead, toIndex } from "../../core/search/scorer.js";
import type { Calibration } from "../../protocol/calibration.js";
import { DEFAULT_THRESHOLD } from "../../protocol/calibration.js";
import type { TaskResult } from "../../protocol/engine.js";
import type { Turn } from "../queue.js";
import type { Model } from "../run/model.js";
import type { SetBatch } from "../run/set-batch.js";
import { labelTokens } from "../search/task-items.js";
import { hiddenStates } from "./hidden-states.js";
import type { Plan, Work } from "./plan.js";

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

/** The rivals that need evaluations of their own: random sets of the set's size, ZeroTuning of all eligible heads, and hidden states for the probe. */
export class RivalArms {
  private readonly random: Calibration[];
  private readonly zeroTuning: Calibration[];

  constructor(
    private readonly model: Model,
    private readonly set: Calibration | null,
  ) {
    const { heads } = model.info;
    const eligible = model.eligibleHeads;
    const { act } = model.info;
    const sets = set
      ? randomArms(
          eligible.map((head) => toIndex(head, heads)),
          { heads: set.heads.map((head) => toIndex(head, heads)) },
          RANDOM_SETS,
          SEED,
        )
      : [];
    this.random = sets.map((arm) => ({ ...(set as Calibration), heads: arm.heads.map((head) => toHead(head, heads)) }));
    this.zeroTuning = act.supported
      ? ZERO_TUNING.map((beta) => ({ method: "zero-tuning", heads: eligible, beta, threshold: DEFAULT_THRESHOLD, statistics: "running" }))
      : [];
  }

  /** Scores of a training prompt in every arm. */
  async training(batch: SetBatch, work: Work, signal: AbortSignal): Promise<TrainingRecord> {
    const { task, repeat, item, tokens } = work;
    const arms = [null, ...(this.set ? [this.set] : []), ...this.zeroTuning];
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
  judged(records: readonly EvaluationRecord[], { task, repeat }: Work): Calibration[] {
    const training = records.filter(
      (record): record is TrainingRecord => record.type === "training" && record.task === task.name && record.repeat === repeat,
    );
    const zero = this.zeroTuning[bestStrength(training)];
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
