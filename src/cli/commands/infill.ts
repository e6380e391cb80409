import * as v from "valibot";
import { ActError } from "../../protocol/errors.js";
import { infillFields } from "../../protocol/requests/generate.js";
import { list, number, text } from "../arguments.js";
import type { Command } from "../command.js";
import { generationOutcome, samplingFlags, samplingOf } from "../generation.js";
import { readText } from "../prompt.js";

export const infill: Command = {
  does: "fill in the middle, as the editor does",
  usage: "--prefix FILE [--suffix FILE] [--path NAME] [--context-file FILE…]",
  flags: {
    prefix: { value: "FILE", does: "the text before the gap" },
    suffix: { value: "FILE", does: "the text after it" },
    path: { value: "NAME", does: "name of the file, as the model sees it" },
    "context-file": { value: "FILE", does: "a file that goes before, the last one nearest", many: true },
    "max-prompt-tokens": {
      value: "N",
      does: "most tokens of the prompt",
      schema: v.unwrap(infillFields.maxPromptTokens),
      default: "what fits",
    },
    ...samplingFlags,
    "max-tokens": { ...samplingFlags["max-tokens"], default: "64" },
  },
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
      maxPromptTokens: number(flags, "max-prompt-tokens"),
      ...samplingOf(flags),
    };
    const model = await session.load({ sequences: 1 });
    const calibration = await session.calibration(model);
    const result = await session.request("infill", { ...params, calibration }, { onProgress: (piece) => session.write(piece.text) });
    return generationOutcome(result, (line) => session.note(line));
  },
};
