import path from "node:path";
import { type Effects, effectsToCsv, effectsToPng, effectsToSvg } from "../../core/search/effects-map.js";
import { DEFAULT_BETA, DEFAULT_THRESHOLD } from "../../protocol/calibration.js";
import type { EffectsResult } from "../../protocol/engine.js";
import { ActError } from "../../protocol/errors.js";
import { count, SeedSchema } from "../../protocol/requests/fields.js";
import { writeFileAtomic } from "../../store/atomic.js";
import { dataFlag, number, text } from "../arguments.js";
import type { Command } from "../command.js";
import { calibrationFlags } from "../head-set.js";
import { signed, table } from "../table.js";

const writers: Record<string, (result: EffectsResult, model: string) => string | Uint8Array> = {
  ".png": ({ effects }) => effectsToPng(effects),
  ".svg": (result, model) => effectsToSvg(result.effects, `Effects of single heads: ${result.task}`, `${model}, ${described(result)}`),
  ".csv": ({ effects }) => effectsToCsv(effects),
  ".json": (result) => `${JSON.stringify(result)}\n`,
};
const SHOWN = 10;

export const effects: Command = {
  does: "what calibrating each single head would do, from one backward pass a prompt",
  usage: "--task NAME | --workspace DIR [--limit N] [--real] [--out map.png|svg|csv|json]",
  flags: {
    task: { value: "NAME", does: "a published task, or a task file (.json, .jsonl): its training prompts" },
    workspace: { value: "DIR", does: "your own code: fill-in-the-middle prompts from this folder" },
    limit: { value: "N", does: "prompts, drawn by the seed", schema: count, default: "32" },
    seed: { value: "N", does: "seed of the draw", schema: SeedSchema, default: "42" },
    real: { does: "measure every single head too, and compare" },
    out: { value: "FILE", does: "write the effects there: .png, .svg, .csv or .json" },
  },
  help: [
    "Effects are changes of the right answer's margin (completions: of a true token's log-likelihood, in nats) by calibrating one head alone, mean over the",
    "prompts; above 0 helps. Heads together do not add up: act calibrate finds sets. A model without a backward pass has its heads measured instead.",
  ].join("\n"),
  async run(session, flags) {
    const out = text(flags, "out");
    const write = out === undefined ? undefined : writers[path.extname(out).toLowerCase()];
    if (out !== undefined && !write) throw new ActError("usage", `--out must end in ${Object.keys(writers).join(", ")}, not "${out}".`);
    const task = text(flags, "task");
    const workspace = text(flags, "workspace");
    if ((task === undefined) === (workspace === undefined))
      throw new ActError("usage", "Say whose prompts: --task NAME, or --workspace DIR for your own code.");
    const params = {
      ...(task !== undefined && { task }),
      ...(workspace !== undefined && { workspace: path.resolve(workspace) }),
      ...dataFlag(flags),
      limit: number(flags, "limit") ?? 32,
      seed: number(flags, "seed") ?? 42,
      real: flags.real === true,
      method: "act" as const,
      beta: DEFAULT_BETA,
      threshold: DEFAULT_THRESHOLD,
      statistics: "running" as const,
      ...calibrationFlags(flags),
    };
    const model = await session.load({ sequences: 0 });
    const result = await session.request("effects", params, {
      onProgress: ({ part, done, total }) =>
        session.progress(`${part === "estimate" ? "backward pass" : "single heads of prompt"} ${done}/${total}`),
    });
    if (out !== undefined && write) {
      await writeFileAtomic(out, write(result, model.name));
      session.note(`Wrote ${out}.`);
    }
    return { json: result, text: summary(result) };
  },
};

function described({ prompts, beta, method }: EffectsResult): string {
  return `${prompts} prompts, beta ${beta}, ${method === "gradient" ? "estimated by gradient" : "measured"}`;
}

function summary(result: EffectsResult): string {
  const { reason, gradientSeconds, forwardSeconds, real } = result;
  const heads = ranked(result.effects);
  const rows = [...heads.slice(0, SHOWN), ...heads.slice(-SHOWN)].map(({ layer, head, effect }) => [`${layer}`, `${head}`, signed(effect)]);
  const milliseconds = (seconds: number) => `${(seconds * 1000).toFixed(0)} ms`;
  const share = (value: number | null) => value?.toFixed(3) ?? "unknown";
  return [
    `${result.task}: ${described(result)}. Largest and smallest effects of single heads:`,
    "",
    table(["layer", "head", "effect"], rows),
    ...(reason === null ? [] : ["", `Every head was measured: ${reason}`]),
    "",
    ...(gradientSeconds === null
      ? []
      : [
          `A gradient takes ${milliseconds(gradientSeconds)}, a forward pass ${milliseconds(forwardSeconds)}: ${(gradientSeconds / forwardSeconds).toFixed(1)} forward passes for all heads.`,
        ]),
    ...(real
      ? [
          `Estimated beside measured, ${real.pairs} pairs of prompt and head: correlation ${share(real.correlation)}, slope ${share(real.slope)}, same sign ${share(real.signAgreement)} of the larger half.`,
        ]
      : []),
  ].join("\n");
}

function ranked(effects: Effects): { layer: number; head: number; effect: number }[] {
  return effects.flatMap((own, layer) => own.map((effect, head) => ({ layer, head, effect }))).sort((a, b) => b.effect - a.effect);
}
