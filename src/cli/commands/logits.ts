import type { LogitsResult } from "../../protocol/engine.js";
import { ActError } from "../../protocol/errors.js";
import { text } from "../arguments.js";
import type { Command } from "../command.js";
import { promptFlags, promptOf, readTokens } from "../prompt.js";

const SHOWN = 10;

export const logits: Command = {
  does: "logits after a prompt that is evaluated as one segment",
  usage: "--tokens FILE.json | --prompt TEXT | --prompt-file F [--forced FILE.json|1,2,3] [--heads SET]",
  flags: { ...promptFlags, forced: { value: "IDS", does: "tokens fed one by one afterwards: 1,2,3 or a JSON file" } },
  help: "--ubatch N smaller than the prompt evaluates it in ubatches of N, the statistics running on.\n--forced: tokens fed one by one afterwards; `decode` then holds the state after each.",
  async run(session, flags) {
    const prompt = await promptOf(flags);
    const forced = await forcedTokens(text(flags, "forced"));
    const model = await session.load({ sequences: 0 });
    const calibration = await session.calibration(model);
    const split = text(flags, "ubatch") !== undefined;
    const result = await session.request("logits", { ...prompt, calibration, split, ...(forced && { forced }) });
    const json = { tokens: result.tokens, ...state(result), ...(forced && { decode: result.decode.map(state) }) };
    return { json, text: await summary(result, async (ids) => (await session.request("tokenTexts", { tokens: ids })).texts) };
  },
};

function state({ logits: values, sinks }: Pick<LogitsResult, "logits" | "sinks">) {
  return { logits: Array.from(values), sinks: sinks.map(({ layer, head, exempt, positions }) => ({ layer, head, exempt, positions })) };
}

async function forcedTokens(given: string | undefined): Promise<number[] | undefined> {
  if (given === undefined) return undefined;
  if (!/^[\d,\s]+$/.test(given)) return await readTokens(given);
  const tokens = given.split(",").map((part) => (part.trim() === "" ? Number.NaN : Number(part)));
  if (tokens.some((token) => !Number.isInteger(token)))
    throw new ActError("usage", `--forced needs token ids like 1,2,3, or a JSON file, not "${given}".`);
  return tokens;
}

async function summary({ tokens, logits: values, sinks }: LogitsResult, texts: (ids: number[]) => Promise<string[]>): Promise<string> {
  const best = Array.from(values.keys())
    .sort((a, b) => (values[b] ?? 0) - (values[a] ?? 0))
    .slice(0, SHOWN);
  const names = await texts(best);
  const lines = best.map((id, i) => `${String(id).padStart(8)}  ${(values[id] ?? 0).toFixed(4).padStart(9)}  ${JSON.stringify(names[i])}`);
  const withSinks = sinks.filter(({ positions }) => positions.length > 0).length;
  return `${tokens.length} tokens; ${withSinks} of ${sinks.length} heads have a second sink\n${lines.join("\n")}`;
}
