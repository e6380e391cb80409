import path from "node:path";
import { ActError } from "../../protocol/errors.js";
import { count } from "../../protocol/requests/fields.js";
import { dataFlag, number, text } from "../arguments.js";
import type { Command } from "../command.js";

export const mtBench: Command = {
  does: "MT-Bench answers in FastChat's format, with and without a head set",
  usage: "--out DIR [--heads SET] [--limit N] [--max-tokens N]",
  flags: {
    out: { value: "DIR", does: "folder for the answers" },
    limit: { value: "N", does: "the first N questions", schema: count, default: "all" },
    "max-tokens": { value: "N", does: "most tokens of an answer", schema: count, default: "1024" },
  },
  help: "The answers are judged elsewhere. Published settings: --threshold fixed:0.15 --statistics row, 1024 new tokens.",
  async run(session, flags) {
    const out = text(flags, "out");
    if (out === undefined) throw new ActError("usage", "Name the folder for the answers with --out.");
    const limits = { limit: number(flags, "limit"), maxTokens: number(flags, "max-tokens") };
    const model = await session.load({ sequences: 1 });
    const calibration = await session.calibration(model);
    const { files } = await session.request(
      "mtBench",
      { ...dataFlag(flags), out: path.resolve(out), calibration, ...limits },
      { onProgress: ({ task, done, total }) => session.progress(`${task} ${done}/${total}`) },
    );
    return { json: { files }, text: files.map(({ path: file, answers }) => `${file}: ${answers} answers`).join("\n") };
  },
};
