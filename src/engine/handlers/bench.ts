import { readFileSync, writeFileSync } from "node:fs";
import { random } from "../../core/numbers/random.js";
import { quantile, ratioOfMedians } from "../../core/numbers/timing.js";
import { type Calibration, DEFAULT_BETA, DEFAULT_THRESHOLD, type Head } from "../../protocol/calibration.js";
import type { BenchParams, BenchRow } from "../../protocol/engine.js";
import { ActError } from "../../protocol/errors.js";
import type { Handler } from "../engine.js";
import type { NativeContext } from "../native/native.js";
import type { Turn } from "../queue.js";
import { cancelled } from "../queue.js";
import type { Model } from "../run/model.js";

/** Tokens of one ubatch, as in the editor. */
const UBATCH = 512;
/** Tokens that are timed together in a decode round. */
const DECODE_STEPS = 16;
const ABORT_TRIALS = 24;
const ABORT_TOKENS = 4096;
const SPLIT_TOKENS = 16;
const MEMORY_LENGTHS = [512, 2048, 8192];

/**
 * What calibration costs. Every round times each variant once, so that whatever the machine does meanwhile meets all of them; the result is
 * the ratio of median speeds with a bootstrap interval over rounds. Text, not random tokens: the number of sinks decides part of the cost.
 */
export const bench: Handler<"bench"> = async (engine, params, call) =>
  await engine.queue.run("bench", "background", call.signal, async (turn) => {
    const { model } = engine;
    const rounds = params.rounds ?? 9;
    const clock = CLOCKS[params.clock ?? "wall"];
    const shares = params.shares ?? [0.2, 1];
    const fits = (tokens: number) => tokens + rounds * DECODE_STEPS + DECODE_STEPS <= model.info.contextSize;
    const lengths = (params.lengths ?? [512, 2048]).filter((length) => params.lengths || fits(length));
    const depths = (params.depths ?? [1024, 4096]).filter((depth) => params.depths || fits(depth));
    const longest = Math.max(...lengths, ...depths.map((depth) => depth + (rounds + 1) * DECODE_STEPS));
    if (longest > model.info.contextSize)
      throw new ActError(
        "context-overflow",
        `The benchmark needs ${longest} tokens of context, but the model has ${model.info.contextSize}. Use shorter --lengths and --depths.`,
      );
    const variants = shares.map((share) => ({ share, calibration: calibrationOf(model, share) }));
    for (const { calibration } of variants) model.checkCalibration(calibration);
    const rows: BenchRow[] = [];
    const add = (row: Omit<BenchRow, "backend">) => {
      const full = { backend: model.info.backend, ...row };
      rows.push(full);
      call.progress({ row: full });
    };
    const wanted = (phase: NonNullable<typeof params.phases>[number]) => params.phases?.includes(phase) ?? true;
    for (const length of wanted("prefill") ? lengths : []) await prefill(model, turn, length, rounds, variants, clock, add);
    for (const depth of wanted("decode") ? depths : []) await decode(model, turn, depth, rounds, variants, clock, add);
    if (wanted("abort")) await abort(model, turn, add);
    const sizes = MEMORY_LENGTHS.filter((size) => size <= model.info.contextSize);
    for (const length of wanted("memory") ? sizes : []) await memory(model, turn, length, add);
    if (wanted("splits")) await splits(model, turn, add);
    return { rows };
  });

interface Variant {
  share: number;
  calibration: Calibration;
}
type Add = (row: Omit<BenchRow, "backend">) => void;

async function prefill(
  model: Model,
  turn: Turn,
  length: number,
  rounds: number,
  variants: Variant[],
  clock: Clock,
  add: Add,
): Promise<void> {
  const tokens = benchTokens(model, length);
  await model.withSegments({ segment: Math.min(UBATCH, length), contextSize: length }, async (context) => {
    const off = () => timed(clock, () => evaluate(context, tokens, null, turn));
    const arms = [
      off,
      ...variants.map(
        ({ calibration }) =>
          () =>
            timed(clock, () => evaluate(context, tokens, calibration, turn)),
      ),
    ];
    if (context.patched)
      arms.push(() => timed(clock, async () => void (await context.capture(() => evaluate(context, tokens, null, turn)))));
    const times = await interleave(arms, rounds);
    for (const [i, { share }] of variants.entries())
      add({ phase: "prefill", tokens: length, headShare: share, ...ratioOfMedians(times[0] ?? [], times[i + 1] ?? []) });
    if (context.patched) add({ phase: "capture", tokens: length, headShare: 1, ...ratioOfMedians(times[0] ?? [], times.at(-1) ?? []) });
  });
}

async function decode(model: Model, turn: Turn, depth: number, rounds: number, variants: Variant[], clock: Clock, add: Add): Promise<void> {
  const tokens = benchTokens(model, depth);
  const sequences = variants.length + 1;
  await model.withSegments({ segment: UBATCH, contextSize: depth + (rounds + 1) * DECODE_STEPS, sequences }, async (context) => {
    const arms: (() => Promise<number>)[] = [];
    for (const [sequence, calibration] of [null, ...variants.map((variant) => variant.calibration)].entries()) {
      await evaluate(context, tokens, calibration, turn, { sequence });
      let position = depth;
      arms.push(() =>
        timed(clock, async () => {
          for (let step = 0; step < DECODE_STEPS; step++)
            await decodeRange(context, [tokens[step] ?? 0], position++, sequence, turn.signal);
        }),
      );
    }
    const times = await interleave(arms, rounds);
    for (const [i, { share }] of variants.entries())
      add({ phase: "decode", tokens: depth, headShare: share, ...ratioOfMedians(times[0] ?? [], times[i + 1] ?? []) });
  });
}

/** Milliseconds from an abort inside a long prefill until the engine is free again. */
async function abort(model: Model, turn: Turn, add: Add): Promise<void> {
  const length = Math.min(ABORT_TOKENS, model.info.contextSize);
  const tokens = benchTokens(model, length);
  const next = random(1);
  await model.withSegments({ segment: UBATCH, contextSize: length }, async (context) => {
    const waits: number[] = [];
    for (let trial = 0; trial < ABORT_TRIALS; trial++) {
      const controller = new AbortController();
      let asked = 0;
      const timer = setTimeout(
        () => {
          asked = performance.now();
          controller.abort();
        },
        20 + next() * 1500,
      );
      try {
        await evaluate(context, tokens, null, { pause: turn.pause, signal: AbortSignal.any([turn.signal, controller.signal]) });
      } catch (error) {
        if (turn.signal.aborted || !controller.signal.aborted) throw error;
        waits.push(performance.now() - asked);
      } finally {
        clearTimeout(timer);
      }
    }
    if (waits.length > 0)
      add({
        phase: "abort",
        tokens: length,
        headShare: 0,
        ratio: quantile(waits, 0.95),
        interval: [quantile(waits, 0.5), Math.max(...waits)],
      });
  });
}

/** Bytes that calibrating all heads adds to the peak of one prefill as a single segment. */
async function memory(model: Model, turn: Turn, length: number, add: Add): Promise<void> {
  const tokens = benchTokens(model, length);
  const calibration = calibrationOf(model, 1);
  await model.withSegments({ segment: length }, async (context) => {
    const peak = async (given: Calibration | null) => {
      resetPeak();
      await evaluate(context, tokens, given, turn, { ubatch: length });
      return peakBytes();
    };
    // Once without being looked at: buffers that are made at first use belong to neither side.
    await peak(null);
    const without = await peak(null);
    const extra = Math.max(0, (await peak(calibration)) - without);
    add({ phase: "memory", tokens: length, headShare: 1, ratio: extra, interval: [extra, extra] });
  });
}

/** Parts that the graph of a short segment is cut into, without calibration and with all heads. A stock binary does not tell. */
async function splits(model: Model, turn: Turn, add: Add): Promise<void> {
  const tokens = benchTokens(model, SPLIT_TOKENS);
  await model.withSegments({ segment: SPLIT_TOKENS }, async (context) => {
    if (!context.patched) return;
    const count = async (given: Calibration | null) => {
      await evaluate(context, tokens, given, turn);
      return context.graphSplits;
    };
    const without = await count(null);
    const all = await count(calibrationOf(model, 1));
    add({ phase: "splits", tokens: SPLIT_TOKENS, headShare: 1, ratio: all - without, interval: [without, all] });
  });
}

/** One unmeasured round, then `rounds` in which every arm runs once, starting with another one each time. */
async function interleave(arms: (() => Promise<number>)[], rounds: number): Promise<number[][]> {
  const times: number[][] = arms.map(() => []);
  for (let round = -1; round < rounds; round++) {
    for (let i = 0; i < arms.length; i++) {
      const arm = (i + Math.max(0, round)) % arms.length;
      const time = await arms[arm]?.();
      if (round >= 0 && time !== undefined) times[arm]?.push(time);
    }
  }
  return times;
}

type Clock = () => number;

/** Milliseconds. Threads that wait for each other spin, so CPU time compares variants only with one thread. */
const CLOCKS: Record<NonNullable<BenchParams["clock"]>, Clock> = {
  wall: () => performance.now(),
  cpu: () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1000;
  },
};

async function timed(clock: Clock, work: () => Promise<void>): Promise<number> {
  const begin = clock();
  await work();
  return clock() - begin;
}

/** Evaluates `tokens` from position 0 in ubatches, statistics running on. */
async function evaluate(
  context: NativeContext,
  tokens: readonly number[],
  calibration: Calibration | null,
  turn: Pick<Turn, "pause" | "signal">,
  { sequence = 0, ubatch = UBATCH } = {},
): Promise<void> {
  context.removeCells(sequence, -1);
  context.setCalibration(sequence, calibration);
  context.beginPrefill(sequence);
  for (let at = 0; at < tokens.length; at += ubatch) await decodeRange(context, tokens.slice(at, at + ubatch), at, sequence, turn.signal);
}

async function decodeRange(
  context: NativeContext,
  tokens: readonly number[],
  start: number,
  sequence: number,
  signal: AbortSignal,
): Promise<void> {
  const outputs = new Uint8Array(tokens.length);
  outputs[tokens.length - 1] = 1;
  const batch = {
    tokens: Int32Array.from(tokens),
    positions: Int32Array.from(tokens, (_, i) => start + i),
    sequences: new Int32Array(tokens.length).fill(sequence),
    outputs,
  };
  if (!(await context.decode(batch, signal))) throw cancelled();
}

/** Every n-th eligible head, so that all layers are met alike. */
function calibrationOf(model: Model, share: number): Calibration {
  const eligible = model.eligibleHeads;
  const wanted = Math.max(1, Math.round(eligible.length * share));
  const heads = Array.from({ length: wanted }, (_, i) => eligible[Math.floor((i * eligible.length) / wanted)] as Head);
  return { method: "act", heads, beta: DEFAULT_BETA, threshold: DEFAULT_THRESHOLD, statistics: "running" };
}

const WORDS =
  "the harbour clock ran slow and nobody asked why because every boat that left before noon came back with the tide while children counted gulls on the wall".split(
    " ",
  );

/** English-like text with punctuation and line breaks, always the same. */
function benchTokens(model: Model, length: number): number[] {
  const next = random(7);
  let text = "";
  for (let word = 0; word < length * 2; word++)
    text += `${WORDS[Math.floor(next() * WORDS.length)]}${word % 11 === 10 ? ".\n" : word % 5 === 4 ? "," : ""} `;
  return model.native.tokenize(text, false).slice(0, length);
}

/** Starts the kernel's record of this process's peak anew (Linux; elsewhere the peak only grows). */
function resetPeak(): void {
  try {
    writeFileSync("/proc/self/clear_refs", "5");
  } catch {
    // Not Linux, or not allowed: peakBytes falls back as well.
  }
}

function peakBytes(): number {
  try {
    const [, kilobytes] = /VmHWM:\s+(\d+) kB/.exec(readFileSync("/proc/self/status", "utf8")) ?? [];
    return Number(kilobytes) * 1024;
  } catch {
    return process.memoryUsage.rss();
  }
}
