/** What an evaluation writes down, one record a prompt; its results are made from these alone. */

/** What one prompt got without and with the head set. */
export interface ItemRecord {
  type: "item";
  task: string;
  /** Which few-shot repeat; 0 in zero-shot. */
  repeat: number;
  id: string;
  label: number;
  tokens: number;
  off: Answer;
  on: Answer;
  /** Scores of the answers under the rivals that change the model: [random set][answer], and ZeroTuning's [answer]. */
  rivals?: { random: number[][]; zeroTuning: number[] };
}

export interface Answer {
  /** Right in the published scoring. */
  right: boolean;
  /** Logits of the label words or letters. */
  scores: number[];
  /** Multiple choice: the greedy token's text. */
  written?: string;
}

/** A training prompt that rivals are fitted on: scores of its answers. */
export interface TrainingRecord {
  type: "training";
  task: string;
  repeat: number;
  id: string;
  label: number;
  off: number[];
  /** Null where there is no set. */
  on: number[] | null;
  /** [strength][answer] */
  zeroTuning: number[][];
}

/** ZeroTuning's strength of every eligible head, tuned on the training prompts; null where the model has no gradient. */
export interface TunedRecord {
  type: "tuned";
  task: string;
  repeat: number;
  betas: number[] | null;
}

/** The last hidden state of a prompt, without calibration. */
export interface HiddenRecord {
  type: "hidden";
  task: string;
  repeat: number;
  id: string;
  /** f32, little-endian, in base64. */
  state: string;
}

/** Scores of content-free inputs, for contextual calibration. */
export interface ContentFreeRecord {
  type: "content-free";
  task: string;
  repeat: number;
  off: number[][];
  on: number[][];
}

/** A prompt that did not fit one segment: counted, never cut. */
export interface SkippedRecord {
  type: "skipped";
  task: string;
  repeat: number;
  id: string;
  tokens: number;
}

/** A prompt that was answered by generating, and whether the answer is right. */
export interface GeneratedRecord {
  type: "generated";
  task: string;
  repeat: 0;
  id: string;
  off: GeneratedAnswer;
  on: GeneratedAnswer;
}

export interface GeneratedAnswer {
  text: string;
  right: boolean;
  /** `ifeval`: which instructions of the prompt it follows. */
  followed?: boolean[];
}

export type EvaluationRecord =
  | GeneratedRecord
  | TunedRecord
  | ItemRecord
  | TrainingRecord
  | HiddenRecord
  | ContentFreeRecord
  | SkippedRecord;

const PROMPT: ReadonlySet<string> = new Set(["item", "generated", "skipped"]);

/** Names what a record is about: a run that goes on does not evaluate it again. A prompt is either evaluated or skipped. */
export function keyOf(record: { type: EvaluationRecord["type"]; task: string; repeat: number; id?: string }): string {
  return [PROMPT.has(record.type) ? "item" : record.type, record.task, record.repeat, record.id ?? ""].join("\n");
}
