import { text as readAll } from "node:stream/consumers";
import type { PromptParams } from "../protocol/engine.js";
import { ActError } from "../protocol/errors.js";
import { readTextFile, UnreadableFile } from "../store/text-file.js";
import { type Flags, text } from "./arguments.js";
import type { FlagTable } from "./flags.js";

export const promptFlags = {
  prompt: { value: "TEXT", does: "the prompt" },
  "prompt-file": { value: "FILE", does: "a file with the prompt: UTF-8, or UTF-16 with a byte order mark; - is standard input" },
  tokens: { value: "FILE", does: "a JSON array of token ids" },
} satisfies FlagTable;

/** The prompt in exactly one form: `--prompt TEXT`, `--prompt-file F` (`-` = standard input), `--tokens FILE.json`. */
export async function promptOf(flags: Flags): Promise<PromptParams> {
  const forms = ["prompt", "prompt-file", "tokens"].filter((name) => text(flags, name) !== undefined);
  if (forms.length !== 1)
    throw new ActError("usage", "Give the prompt in exactly one form: --prompt TEXT, --prompt-file FILE, or --tokens FILE.json.");
  const prompt = text(flags, "prompt");
  if (prompt !== undefined) return { prompt };
  const file = text(flags, "prompt-file");
  if (file !== undefined) return { prompt: await readText(file) };
  return { tokens: await readTokens(text(flags, "tokens") ?? "") };
}

/** The prompt as text, for commands that do not take token ids. */
export async function textPromptOf(flags: Flags): Promise<string> {
  const { prompt } = await promptOf({ ...flags, tokens: undefined });
  return prompt ?? "";
}

/** @throws ActError `usage` naming the file. */
export async function readText(file: string): Promise<string> {
  if (file === "-") return await readAll(process.stdin);
  return await readTextFile(file, { strict: true }).catch((error: unknown) => {
    if (!(error instanceof UnreadableFile)) throw error;
    throw new ActError("usage", `The file ${file} cannot be read: ${error.message}.`, { cause: error });
  });
}

/** A JSON array of token ids. The engine checks them against the vocabulary. */
export async function readTokens(file: string): Promise<number[]> {
  const content = await readText(file);
  let value: unknown;
  try {
    value = JSON.parse(content);
  } catch {
    throw new ActError("usage", `${file} is not JSON; a JSON array of token ids is needed.`);
  }
  if (!Array.isArray(value)) throw new ActError("usage", `${file} holds no JSON array; a JSON array of token ids is needed.`);
  const bad = value.findIndex((token) => !Number.isInteger(token));
  if (bad >= 0) throw new ActError("usage", `${file} holds ${JSON.stringify(value[bad])} at position ${bad}; token ids are whole numbers.`);
  return value as number[];
}
