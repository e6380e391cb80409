/** One captured prompt, read at one threshold. Pure; everything is worked out on first use and kept. */
import { columnLimit } from "../../src/core/act.js";
import { allSinksAt, averageMeans, massOn, meansOf, rolesOf, type SinkRole, type ViewedSinks } from "../../src/core/sinks/values.js";
import type { Head, Threshold } from "../../src/protocol/calibration.js";
import type { SinkMap } from "../../src/protocol/engine.js";
import { strips, withoutInitial } from "../paint/thumbnails.js";

export class Reading {
  readonly limit: number;
  /** [layer][head] */
  readonly sinks: readonly ViewedSinks[];
  #shown: SinkMap | undefined;
  #masses: Float32Array | undefined;
  #average: Float32Array | undefined;
  #strips: ReturnType<typeof strips> | undefined;
  #counts: { initial: Uint32Array; later: Uint32Array } | undefined;

  constructor(
    readonly map: SinkMap,
    readonly threshold: Threshold,
    readonly hideInitial: boolean,
  ) {
    this.limit = columnLimit(threshold, map.tokens.length);
    this.sinks = allSinksAt(map, threshold);
  }

  sinksOf([layer, head]: Head): ViewedSinks {
    return this.sinks[layer * this.map.heads + head] as ViewedSinks;
  }

  roles(head: Head): Map<number, SinkRole> {
    return rolesOf(this.sinksOf(head));
  }

  /** Share of a head's attention that goes to its sinks (without the initial one where that is hidden), [layer][head]. */
  get masses(): Float32Array {
    this.#masses ??= Float32Array.from(this.sinks, ({ layer, head, exempt, positions }) =>
      massOn(meansOf(this.map, layer, head), exempt === null || this.hideInitial ? positions : [exempt, ...positions]),
    );
    return this.#masses;
  }

  /** What a token is coloured by: the head's column means, or the average over all heads, [key]; a hidden initial sink counts as 0. */
  tokenValues(head: Head | null): Float32Array {
    if (head) return meansOf(this.shown, head[0], head[1]);
    this.#average ??= averageMeans(this.shown);
    return this.#average;
  }

  get strips(): ReturnType<typeof strips> {
    this.#strips ??= strips(this.shown);
    return this.#strips;
  }

  /** In how many heads each key is the initial sink, and a later one. */
  get counts(): { initial: Uint32Array; later: Uint32Array } {
    if (!this.#counts) {
      const initial = new Uint32Array(this.map.tokens.length);
      const later = new Uint32Array(this.map.tokens.length);
      for (const { exempt, positions } of this.sinks) {
        if (exempt !== null) initial[exempt] = (initial[exempt] as number) + 1;
        for (const key of positions) later[key] = (later[key] as number) + 1;
      }
      this.#counts = { initial, later };
    }
    return this.#counts;
  }

  /** The map, without the initial sinks where they are hidden. */
  private get shown(): SinkMap {
    this.#shown ??= this.hideInitial
      ? { ...this.map, columnMeans: withoutInitial(this.map, (layer, head) => this.sinksOf([layer, head]).exempt).columnMeans }
      : this.map;
    return this.#shown;
  }
}
