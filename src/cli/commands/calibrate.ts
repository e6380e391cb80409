import { createHash } from "node:crypto";
import path from "node:path";
import * as v from "valibot";
import { DEFAULT_BETA, DEFAULT_THRESHOLD, MethodSchema, type Use, UseSchema } from "../../protocol/calibration.js";
import type { CalibrateParams, CalibrateProgress } from "../../protocol/engine.js";
import { ActError } from "../../protocol/errors.js";
import { whole } from "../../protocol/requests/fields.js";
import { CalibrateSchema, SamplesSchema, SearchMethodSchema } from "../../protocol/requests/search.js";
import { writeFileAtomic } from "../../store/atomic.js";
import { cacheFolder } from "../../store/cache-folder.js";
import { choice, dataFlag, type Flags, list, number, text } from "../arguments.js";
import type { Command } from "../command.js";
import { calibrationFlags } from "../head-set.js";
import { duration, signed, table } from "../table.js";

export const calibrate: Command = {
  does: "search the heads whose calibration helps this model",
  usage: "--task NAME… | --workspace DIR [--samples N] [--budget MIN] [--out SET.json] [--resume]",
  flags: {
    task: { value: "NAME", does: "a published task, or a task file (.json, .jsonl)", many: true },
    workspace: { value: "DIR", does: "search on the tracked source files of this folder" },
    samples: { value: "N", does: "prompts to choose on", schema: SamplesSchema },
    confirm: { value: "N", does: "prompts to confirm on", schema: SamplesSchema },
    method: {
      value: "NAME",
      does: "how the set is found, gradient or race; or how heads are calibrated, act or zero-tuning",
      schema: v.picklist([...SearchMethodSchema.options, ...MethodSchema.options]),
      default: "gradient, act",
    },
    use: { value: "USE", does: "what the set is for", schema: UseSchema, default: "task, or completions with --workspace" },
    shots: {
      value: "K",
      does: "examples in front of every prompt of a task",
      schema: v.unwrap(CalibrateSchema.entries.shots),
      default: "0",
    },
    exhaustive: { does: "evaluate every head on every prompt, as published" },
    seed: { value: "N", does: "seed of every draw", schema: whole(0), default: "42" },
    budget: { value: "MIN", does: "most minutes", schema: v.unwrap(CalibrateSchema.entries.budgetMinutes) },
    out: { value: "FILE", does: "write the head set there" },
    resume: { does: "go on with the search that was interrupted" },
    journal: { value: "FILE", does: "where the search keeps what it knows", default: "beside --out, else in the cache" },
    shard: { value: "I/N", does: "do only the I-th of N parts of the search, on this machine" },
    merge: { value: "JOURNAL", does: "make the answer from the journals of all shards", many: true },
    layers: { value: "A-B", does: "only heads of these layers", default: "all but the first two and the last" },
  },
  help: "Chooses on one part of the prompts, validates on a second, confirms on a third. `on` in the set says whether the confirmation holds.",
  async run(session, flags) {
    const tasks = list(flags, "task");
    const merge = list(flags, "merge");
    const workspace = text(flags, "workspace");
    if (tasks.length > 0 === (workspace !== undefined))
      throw new ActError("usage", "Say what to calibrate for: --task NAME…, or --workspace DIR for your own code.");
    checkUse(choice(flags, "use", UseSchema), workspace !== undefined);
    const out = text(flags, "out");
    const search = SearchMethodSchema.options.find((one) => one === flags.method);
    const shard = shardOf(flags);
    const params: Omit<CalibrateParams, "journal"> = {
      ...(tasks.length > 0 && { tasks }),
      ...(workspace !== undefined && { workspace: path.resolve(workspace) }),
      ...dataFlag(flags),
      method: "act",
      beta: DEFAULT_BETA,
      threshold: DEFAULT_THRESHOLD,
      statistics: "running",
      ...calibrationFlags(search ? { ...flags, method: undefined } : flags),
      ...defined({
        search,
        shots: number(flags, "shots"),
        samples: number(flags, "samples"),
        confirm: number(flags, "confirm"),
        budgetMinutes: number(flags, "budget"),
        layers: layersOf(flags),
        shard,
      }),
      ...(flags.exhaustive === true && { exhaustive: true }),
      ...(merge.length > 0 && { merge: merge.map((file) => path.resolve(file)) }),
      seed: number(flags, "seed") ?? 42,
      resume: flags.resume === true,
    };
    const model = await session.load({ sequences: 0 });
    const journal = path.resolve(
      text(flags, "journal") ?? (out !== undefined ? `${out}.journal.jsonl` : defaultJournal(model.sha256, params)),
    );
    session.note(`Journal: ${journal}`);
    const result = await session.request("calibrate", { ...params, journal }, { onProgress: (event) => session.progress(line(event)) });
    if (out !== undefined) {
      await writeFileAtomic(out, `${JSON.stringify(result.headSet, null, 2)}\n`);
      session.note(`Wrote ${out}.`);
    }
    const rivals = result.headSet.evidence?.rivals ?? [];
    const rows = rivals.map(({ name, heads, accuracy, difference, interval }) => [
      name,
      String(heads ?? ""),
      accuracy.toFixed(3),
      signed(difference),
      `${signed(interval[0])} to ${signed(interval[1])}`,
    ]);
    return {
      json: result.headSet,
      text: [
        result.verdict,
        ...(rows.length > 0 ? ["", table(["compared", "heads", "score", "difference", "95 % interval"], rows)] : []),
      ].join("\n"),
    };
  },
};

/** A set is for the use that its prompts come from. @throws ActError `usage` */
function checkUse(use: Use | undefined, workspace: boolean): void {
  const own: Use = workspace ? "completions" : "task";
  if (use === undefined || use === own) return;
  if (use === "chat")
    throw new ActError("usage", "There is no search for chat yet; --use is task with --task, and completions with --workspace.");
  throw new ActError(
    "usage",
    `--use ${use} needs ${use === "task" ? "--task NAME" : "--workspace DIR"}: a set is for the use that it was measured on.`,
  );
}

function line({ part, done, total, promptsPerSecond, secondsLeft, best }: CalibrateProgress): string {
  const left = secondsLeft === null ? "" : `, ${duration(secondsLeft)} left`;
  const found = best ? `; best ${best.name} (${best.heads} heads) ${signed(best.difference)}` : "";
  return `${part} ${done}/${total}, ${promptsPerSecond.toFixed(1)} prompts/s${left}${found}`;
}

/** The same search finds its journal again: it is named by everything that makes it the same. */
function defaultJournal(sha256: string, params: object): string {
  const { resume: _, budgetMinutes: __, ...same } = params as CalibrateParams;
  const key = createHash("sha256")
    .update(JSON.stringify([sha256, same]))
    .digest("hex")
    .slice(0, 16);
  return path.join(cacheFolder(), "journals", `calibrate-${key}.jsonl`);
}

function shardOf(flags: Flags): { index: number; count: number } | undefined {
  const typed = text(flags, "shard");
  if (typed === undefined) return undefined;
  const [, index = "", total = ""] = /^(\d+)\/(\d+)$/.exec(typed) ?? [];
  const shard = { index: Number(index), count: Number(total) };
  if (index === "" || shard.index < 1 || shard.index > shard.count)
    throw new ActError("usage", `--shard must be like 1/4 (the first of four), not "${typed}".`);
  return { index: shard.index - 1, count: shard.count };
}

function layersOf(flags: Flags): [number, number] | undefined {
  const typed = text(flags, "layers");
  if (typed === undefined) return undefined;
  const [, first = "", last = ""] = /^(\d+)-(\d+)$/.exec(typed) ?? [];
  if (first === "" || Number(first) > Number(last)) throw new ActError("usage", `--layers must be like 2-28, not "${typed}".`);
  return [Number(first), Number(last)];
}

function defined<T extends object>(values: T): Partial<T> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Partial<T>;
}
