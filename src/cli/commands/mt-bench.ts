import path from "node:path";
import { ActError } from "../../protocol/errors.js";
import { count, dataFlag, text } from "../arguments.js";
import type { Command } from "../command.js";

export const mtBench: Command = {
  does: "MT-Bench answers in FastChat's format, with and without a head set",
  usage: "--out DIR [--heads SET] [--limit N] [--max-tokens N]",
  flags: { out: { type: "string" }, limit: { type: "string" }, "max-tokens": { type: "string" } },
  help: "The answers are judged elsewhere. Published settings: --threshold fixed:0.15 --statistics row, 1024 new tokens.",
  async run(session, flags) {
    const out = text(flags, "out");
    if (out === undefined) throw new ActError("usage", "Name the folder for the answers with --out.");
    const limits = { limit: count(flags, "limit"), maxTokens: count(flags, "max-tokens") };
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
