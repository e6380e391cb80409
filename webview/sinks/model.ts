import type { ThemeKind } from "../../src/core/picture/colour.js";
import { visibleToken } from "../../src/core/sinks/values.js";
import type { Threshold } from "../../src/protocol/calibration.js";
import type { SinkMap } from "../../src/protocol/engine.js";
import type { SinkPanelState } from "../../src/protocol/sink-panel.js";
import type { SinkNavigation } from "./navigation.js";
import { Reading } from "./reading.js";

/** What every part of the panel is drawn from. */
export interface Model {
  state: SinkPanelState;
  navigation: SinkNavigation;
  theme: ThemeKind;
  /** The captured prompt; null while there is none. */
  reading: Reading | null;
}

/** A captured prompt is there; what the parts that draw it are given. */
export type ReadModel = Model & { reading: Reading };

/** The readings of one map are kept as long as threshold and hiding stay: nothing that is already known is worked out again. */
export function readingFor(
  map: SinkMap,
  { threshold, hideInitial }: { threshold: Threshold; hideInitial: boolean },
  known: Reading | null,
): Reading {
  const same =
    known?.map === map &&
    known.hideInitial === hideInitial &&
    known.threshold.mode === threshold.mode &&
    known.threshold.value === threshold.value;
  return same ? known : new Reading(map, threshold, hideInitial);
}

/** “·the” (17) */
export function tokenName(map: SinkMap, key: number): string {
  return `“${visibleToken(map.tokens[key] ?? "")}” (${key})`;
}
