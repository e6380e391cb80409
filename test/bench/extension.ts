/**
 * What the extension costs (issue 5, section 4), measured in one run: `node scripts/run.mjs bench extension`. Shares and ratios carry over to
 * other machines; the absolute numbers are this machine's.
 */
import { statSync } from "node:fs";
import { packageExtension } from "../../scripts/commands/package.js";
import type { BuildContext } from "../../scripts/context.js";
import { ensureDefaultModel } from "../../scripts/fetch/model.js";
import { quantile, type Spread, spread } from "../../src/core/numbers/timing.js";
import type { HostFigures } from "../host/bench-suite.js";
import { figuresOf } from "../host/run.js";

export interface ExtensionFigures {
  activationMs: number;
  ghostTextMs: Spread;
  /** Host, messages and post-processing: all but the engine's own work. */
  overheadMs: { p50: number; p95: number; rpcP50: number; hostP50: number };
  abortMs: Spread;
  /** Medians: with an idle engine, beside a process that only counts, and while a chat answer streams. */
  typingMs: { idle: number; counting: number; busy: number };
  hostMemoryBytes: number;
  vsixBytes: number;
}

export async function run(context: BuildContext): Promise<ExtensionFigures> {
  const model = await ensureDefaultModel(context.cache);
  const host = await figuresOf<HostFigures>({
    entry: "test/host/bench-suite.ts",
    settings: { "act.model.path": model, "act.model.contextSize": 2048, "act.completions.maxTokens": 12, "act.chat.maxTokens": 1500 },
  });
  const { file } = await packageExtension(context, "native");
  const overhead = host.suggestions.map((s) => s.rpcMs + s.hostMs);
  const median = (values: readonly number[]) => quantile(values, 0.5);
  const { idle, counting, busy } = host.typingMs;
  return {
    activationMs: host.activationMs,
    ghostTextMs: spread(host.suggestions.map((s) => s.totalMs)),
    overheadMs: {
      ...spread(overhead),
      rpcP50: quantile(
        host.suggestions.map((s) => s.rpcMs),
        0.5,
      ),
      hostP50: quantile(
        host.suggestions.map((s) => s.hostMs),
        0.5,
      ),
    },
    abortMs: spread(host.abortMs),
    typingMs: { idle: median(idle), counting: median(counting), busy: median(busy) },
    hostMemoryBytes: host.memory.rss,
    vsixBytes: statSync(file).size,
  };
}
