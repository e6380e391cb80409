import * as v from "valibot";
import { type Calibration, CalibrationSchema } from "../protocol/calibration.js";
import { ActError } from "../protocol/errors.js";

/** @throws ActError `usage` (or `head-set` for a calibration) naming the first field that is wrong. */
export function check(schema: v.GenericSchema, params: unknown): void {
  const result = v.safeParse(schema, params, { abortEarly: true });
  if (result.success) return;
  const issue = result.issues[0];
  const where = v.getDotPath(issue) ?? "request";
  throw new ActError(where.startsWith("calibration") ? "head-set" : "usage", `${where}: ${issue.message}.`);
}

/** What a head set is checked against. */
export interface HeadShape {
  layers: number;
  heads: number;
}

/** @throws ActError `head-set`: heads outside the model, or named twice, or a beta or threshold out of range. */
export function checkCalibration(calibration: Calibration | null, { layers, heads }: HeadShape): void {
  if (!calibration) return;
  check(v.looseObject({ calibration: CalibrationSchema }), { calibration });
  const seen = new Set<string>();
  for (const [layer, head] of calibration.heads) {
    if (layer >= layers || head >= heads)
      throw new ActError(
        "head-set",
        `The head set names head [${layer}, ${head}], but the model has layers 0 to ${layers - 1} with heads 0 to ${heads - 1}.`,
      );
    const key = `${layer},${head}`;
    if (seen.has(key)) throw new ActError("head-set", `The head set names head [${layer}, ${head}] twice.`);
    seen.add(key);
  }
}

/** @throws ActError `usage`: ids that are not whole numbers inside the vocabulary, or none at all. */
export function checkTokens(tokens: readonly number[], vocabulary: number, what = "prompt"): void {
  if (tokens.length === 0) throw new ActError("usage", `The ${what} is empty; it needs at least one token.`);
  const bad = tokens.findIndex((token) => !Number.isInteger(token) || token < 0 || token >= vocabulary);
  if (bad >= 0)
    throw new ActError(
      "usage",
      `Token ${tokens[bad]} at position ${bad} of the ${what} is not an id of this model's vocabulary (0 to ${vocabulary - 1}).`,
    );
}
