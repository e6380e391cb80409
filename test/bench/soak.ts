/** Memory of host and engine over time: `ACT_SOAK_MINUTES=60 node scripts/run.mjs bench soak`. */
import type { BuildContext } from "../../scripts/context.js";
import { ensureDefaultModel } from "../../scripts/fetch/model.js";
import { figuresOf } from "../host/run.js";
import type { SoakSample } from "../host/soak-suite.js";

export interface SoakFigures {
  minutes: number;
  requests: number;
  /** Bytes at the end over bytes after the first tenth: growth that start-up does not explain. */
  hostGrowth: number;
  engineGrowth: number | null;
  samples: SoakSample[];
}

export async function run(context: BuildContext): Promise<SoakFigures> {
  const minutes = Number(process.env.ACT_SOAK_MINUTES ?? 60);
  const samples = await figuresOf<SoakSample[]>({
    entry: "test/host/soak-suite.ts",
    env: { ACT_SOAK_MINUTES: String(minutes), ACT_HOST_TEST_LIMIT_MS: String(minutes * 60_000 + 300_000) },
    settings: {
      "act.model.path": await ensureDefaultModel(context.cache),
      "act.model.contextSize": 2048,
      "act.chat.maxTokens": 48,
      "act.completions.maxTokens": 16,
    },
  });
  const early = samples[Math.max(1, Math.floor(samples.length / 10))];
  const last = samples.at(-1);
  if (!early || !last) throw new Error("nothing was measured");
  return {
    minutes,
    requests: last.requests,
    hostGrowth: last.hostRss / early.hostRss,
    engineGrowth: last.engineRss !== null && early.engineRss !== null ? last.engineRss / early.engineRss : null,
    samples,
  };
}
