/** What each request must hold before anything of it reaches a handler. The engine checks every request by this table, once, in `main.ts`. */
import type { EngineMethod } from "../engine.js";
import { BenchSchema } from "./bench.js";
import { EvaluateSchema, MtBenchSchema } from "./evaluate.js";
import { ChatSchema, CompleteSchema, CountSchema, InfillSchema, TokenizeSchema, TokenTextsSchema } from "./generate.js";
import { LabelSchema } from "./label.js";
import { HandshakeSchema, LoadSchema, UnloadSchema } from "./load.js";
import { HeadMatrixParamsSchema, LogitsSchema, SinksSchema } from "./look.js";
import { CalibrateSchema, EffectsSchema, GradientSchema } from "./search.js";

export const requestSchemas = {
  handshake: HandshakeSchema,
  load: LoadSchema,
  unload: UnloadSchema,
  count: CountSchema,
  tokenize: TokenizeSchema,
  tokenTexts: TokenTextsSchema,
  complete: CompleteSchema,
  infill: InfillSchema,
  chat: ChatSchema,
  logits: LogitsSchema,
  sinks: SinksSchema,
  headMatrix: HeadMatrixParamsSchema,
  calibrate: CalibrateSchema,
  effects: EffectsSchema,
  gradient: GradientSchema,
  evaluate: EvaluateSchema,
  label: LabelSchema,
  mtBench: MtBenchSchema,
  bench: BenchSchema,
} satisfies { [M in EngineMethod]: object };
