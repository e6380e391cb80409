import type { Command } from "../command.js";
import { generationOutcome, samplingFlags, samplingOf } from "../generation.js";
import { promptFlags, textPromptOf } from "../prompt.js";

export const complete: Command = {
  does: "go on with a prompt; greedy unless --temperature",
  usage: "--prompt TEXT | --prompt-file F [--max-tokens N] [--heads SET]",
  flags: { prompt: promptFlags.prompt, "prompt-file": promptFlags["prompt-file"], ...samplingFlags },
  async run(session, flags) {
    const prompt = await textPromptOf(flags);
    const sampling = samplingOf(flags);
    const model = await session.load({ sequences: 1 });
    const calibration = await session.calibration(model);
    const result = await session.request(
      "complete",
      { prompt, calibration, ...sampling },
      { onProgress: ({ text }) => session.write(text) },
    );
    return generationOutcome(result, (text) => session.note(text));
  },
};
