/** Numbers of a search as people read them. Pure. A gain never stands without its interval and n. */
import { readable } from "../../src/core/picture/scale.js";
import type { HeadSetEntry, SearchPlace } from "../../src/protocol/calibrate-panel.js";
import type { Evidence } from "../../src/protocol/calibration.js";

/** A change of a score that is no share: "+0.0412". */
export function signed(value: number): string {
  return `${value > 0 ? "+" : value < 0 ? "−" : ""}${readable(Math.abs(value))}`;
}

export function measuredOn(place: SearchPlace): string {
  return place.kind === "workspace" ? `the files of ${place.name}` : place.tasks.join(", ");
}

/** "18 s", "4 min", "1 h 20 min". */
export function duration(seconds: number): string {
  if (seconds < 90) return `${Math.max(0, Math.round(seconds))} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export interface EvidenceRow {
  name: string;
  heads: string;
  score: number;
  /** Null for the baseline, which is what the others are compared with. */
  difference: number | null;
  interval: readonly [number, number] | null;
}

/** The arms of the confirmation: no heads, the chosen set where there is one, and its rivals. */
export function evidenceRows(entry: Pick<HeadSetEntry, "heads">, evidence: Evidence): EvidenceRow[] {
  return [
    { name: "No heads", heads: "0", score: evidence.baseline, difference: null, interval: null },
    ...(entry.heads.length === 0
      ? []
      : [
          {
            name: "Chosen heads",
            heads: String(entry.heads.length),
            score: evidence.calibrated,
            difference: evidence.difference,
            interval: evidence.interval,
          },
        ]),
    ...(evidence.rivals ?? []).map(({ name, heads, accuracy, difference, interval }) => ({
      name,
      heads: heads === undefined ? "" : String(heads),
      score: accuracy,
      difference,
      interval,
    })),
  ];
}

/** p as a person reads it. */
export function probability(p: number): string {
  return p < 0.001 ? "p < 0.001" : `p = ${p.toFixed(3)}`;
}
