import {
  type Calibration,
  calibrationOfSet,
  DEFAULT_BETA,
  DEFAULT_THRESHOLD,
  eligibleHeads,
  MethodSchema,
  MOST_BETA,
  StatisticsSchema,
} from "../protocol/calibration.js";
import type { ModelInfo } from "../protocol/engine.js";
import { ActError } from "../protocol/errors.js";
import { checkHeadSet } from "../store/head-sets/file.js";
import { findHeadSet } from "../store/head-sets/published.js";
import { choice, dataFolder, type Flags, number, text, threshold } from "./arguments.js";

type Model = Pick<ModelInfo, "layers" | "heads" | "sha256" | "name">;

/**
 * What `--heads` and its companions ask for; null = calibration off. Flags win over what a file says.
 * @param warn told when a set was made on another file of the same shape
 * @throws ActError `head-set` or `usage`
 */
export async function calibrationOf(flags: Flags, model: Model, warn: (text: string) => void): Promise<Calibration | null> {
  const asked = text(flags, "heads") ?? "none";
  const own = calibrationFlags(flags);
  if (asked === "none") return null;
  const { betas, ...set } = asked === "all" ? everyHead(model) : await fromSet(asked, flags, model, warn);
  const calibration = { ...set, ...(betas && own.beta === undefined && { betas }), ...own };
  if (calibration.method === "act" && calibration.beta > MOST_BETA)
    throw new ActError("usage", `--beta must be between 0 and ${MOST_BETA}, not ${calibration.beta}.`);
  return calibration;
}

/** The flags that say how heads are calibrated, for commands that choose the heads themselves as well. */
export function calibrationFlags(flags: Flags): Partial<Omit<Calibration, "heads" | "betas">> {
  const method = choice(flags, "method", MethodSchema);
  const beta = number(flags, "beta");
  const limit = threshold(flags);
  const statistics = choice(flags, "statistics", StatisticsSchema);
  return {
    ...(method && { method }),
    ...(beta !== undefined && { beta }),
    ...(limit && { threshold: limit }),
    ...(statistics && { statistics }),
  };
}

function everyHead({ layers, heads }: Model): Calibration {
  return { method: "act", heads: eligibleHeads(layers, heads), beta: DEFAULT_BETA, threshold: DEFAULT_THRESHOLD, statistics: "running" };
}

async function fromSet(asked: string, flags: Flags, model: Model, warn: (text: string) => void): Promise<Calibration> {
  const set = await findHeadSet(asked, dataFolder(flags) ?? null);
  const warning = checkHeadSet(set, model, asked);
  if (warning !== null) warn(warning);
  return calibrationOfSet(set);
}
