import type { Calibration } from "../protocol/calibration.js";
import type { EngineMethod, LoadParams, ModelInfo } from "../protocol/engine.js";
import type { Params, RequestOptions, Result } from "../protocol/rpc.js";
import type { Flags } from "./arguments.js";
import type { FlagTable } from "./flags.js";

/** One command of `act`, one file each. */
export interface Command {
  /** One line for the list of commands. */
  does: string;
  /** What follows the name on the usage line. */
  usage: string;
  /** Its own flags, beside the common ones. */
  flags: FlagTable;
  help?: string;
  run(session: Session, flags: Flags, rest: string[]): Promise<Outcome>;
}

/** `json`: the document for `--json` (text where it is already rendered); `text`: what people get instead. */
export interface Outcome {
  json: object | string;
  text: string;
}

/** What a command may do. */
export interface Session {
  readonly flags: Flags;
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
  /** With `--json` nothing but the document goes to standard output. */
  readonly json: boolean;
  /** Streams text to standard output, except with `--json`. */
  write(text: string): void;
  /** A remark on standard error. */
  note(text: string): void;
  /** A line on standard error that the next one replaces. */
  progress(text: string): void;
  request<M extends EngineMethod>(method: M, params: Params<M>, options?: RequestOptions<M>): Promise<Result<M>>;
  modelPath(): string;
  /** Loads the model that the flags name. */
  load(overrides?: Partial<LoadParams>): Promise<ModelInfo>;
  /** The calibration that the flags ask for, checked against the model. */
  calibration(model: ModelInfo): Promise<Calibration | null>;
}
