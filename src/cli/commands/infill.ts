import { ActError } from "../../protocol/errors.js";
import { count, list, text } from "../arguments.js";
import type { Command } from "../command.js";
import { generationOutcome, samplingFlags, samplingOf } from "../generation.js";
import { readText } from "../prompt.js";

export const infill: Command = {
  does: "fill in the middle, as the editor does",
  usage: "--prefix FILE [--suffix FILE] [--path NAME] [--context-file FILE…]",
  flags: {
    prefix: { type: "string" },
    suffix: { type: "string" },
    path: { type: "string" },
    "context-file": { type: "string", multiple: true },
    "max-prompt-tokens": { type: "string" },
    ...samplingFlags,
  },
  help: "--path is the file's name as the model sees it; context files go before it, the last one nearest.",
  async run(session, flags) {
    const prefixFile = text(flags, "prefix");
    const suffixFile = text(flags, "suffix");
    if (prefixFile === undefined && suffixFile === undefined)
      throw new ActError("usage", "Name the file before the gap with --prefix, the one after it with --suffix.");
    const prefix = prefixFile === undefined ? "" : await readText(prefixFile);
    const suffix = suffixFile === undefined ? "" : await readText(suffixFile);
    const context = await Promise.all(list(flags, "context-file").map(async (path) => ({ path, text: await readText(path) })));
    const params = {
      prefix,
      suffix,
      path: text(flags, "path"),
      context,
      maxPromptTokens: count(flags, "max-prompt-tokens"),
      ...samplingOf(flags),
    };
    const model = await session.load({ sequences: 1 });
    const calibration = await session.calibration(model);
    const result = await session.request("infill", { ...params, calibration }, { onProgress: (piece) => session.write(piece.text) });
    return generationOutcome(result, (line) => session.note(line));
  },
};
