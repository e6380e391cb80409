import type { AddonSampler } from "./addon.js";

export interface SamplerConfig {
  temperature: number;
  topK?: number;
  topP?: number;
  minP?: number;
  seed?: number;
  repeatPenalty?: number;
  /** Tokens that `repeatPenalty` applies to. */
  recent?: readonly number[];
}

/** llama.cpp's own sampler chain; greedy at temperature 0. */
export class Sampler {
  constructor(readonly addon: AddonSampler) {}

  configure(config: SamplerConfig): void {
    const penalise = config.repeatPenalty !== undefined && config.repeatPenalty !== 1 && config.recent && config.recent.length > 0;
    this.addon.applyConfig({
      temperature: config.temperature,
      ...(config.topK !== undefined && { topK: config.topK }),
      ...(config.topP !== undefined && { topP: config.topP }),
      ...(config.minP !== undefined && { minP: config.minP }),
      ...(config.seed !== undefined && { seed: config.seed }),
      ...(penalise && {
        repeatPenalty: config.repeatPenalty,
        repeatPenaltyMaxTokens: config.recent?.length,
        repeatPenaltyTokens: Uint32Array.from(config.recent ?? []),
      }),
    });
  }

  dispose(): void {
    this.addon.dispose();
  }
}
