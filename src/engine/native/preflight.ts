// Checks a model file before native code opens it.
import fs from "node:fs";
import { stat } from "node:fs/promises";
import { basename } from "node:path";
import { type GgufHeader, readGguf } from "../../core/gguf/header.js";
import { assertLanguageModel } from "../../core/gguf/language-model.js";
import { ActError } from "../../protocol/errors.js";
import { assertNotQuarantined } from "../../store/quarantine.js";

/**
 * Checks a GGUF file and answers its header. Reads only the header; synchronous, tens of milliseconds.
 * @throws ActError `model-file` naming the file, what is wrong with it and what to do
 */
export function readModelHeader(path: string): GgufHeader {
  let file: number;
  try {
    // Opening a pipe for reading would wait for a writer, and hold the engine meanwhile.
    file = fs.openSync(path, fs.constants.O_RDONLY | (fs.constants.O_NONBLOCK ?? 0));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR")
      throw new ActError("model-file", `The model file ${path} does not exist. Check the path, or download a model.`);
    throw new ActError("model-file", `The model file ${path} cannot be opened (${code}). Check its permissions.`, { cause: error });
  }
  try {
    const stat = fs.fstatSync(file);
    if (!stat.isFile())
      throw new ActError("model-file", `${path} is ${stat.isDirectory() ? "a folder" : "not a plain file"}; a .gguf file is needed.`);
    if (stat.size === 0) throw new ActError("model-file", `The model file ${path} is empty. Download it again.`);
    return readGguf({ size: stat.size, read: (offset, target) => fs.readSync(file, target, 0, target.length, offset) });
  } catch (error) {
    if (error instanceof ActError && error.code === "model-file" && !error.message.includes(path))
      throw new ActError(
        "model-file",
        `${path} is not a usable GGUF model. ${error.message}${/choose/.test(error.message) ? "" : " Download it again or choose another file."}`,
        {
          cause: error,
        },
      );
    throw error;
  } finally {
    fs.closeSync(file);
  }
}

/** What a checked model file says, and how long it is with all its parts. */
export interface CheckedFile {
  header: GgufHeader;
  bytes: number;
}

/** `readModelHeader`, and the file is a language model, whole, and did not crash the engine before. */
export async function preflight(path: string): Promise<CheckedFile> {
  const header = readModelHeader(path);
  try {
    assertLanguageModel(header);
  } catch (error) {
    throw error instanceof ActError ? new ActError("model-file", `${path} cannot be the model. ${error.message}`, { cause: error }) : error;
  }
  const bytes = await sizeOfAllParts(path, header.splits);
  await assertNotQuarantined(path);
  return { header, bytes };
}

/** llama.cpp finds the other parts by the first one's name. @throws ActError `model-file` naming the part that is missing */
async function sizeOfAllParts(first: string, count: number): Promise<number> {
  const digits = (n: number) => String(n).padStart(5, "0");
  const ending = `-${digits(1)}-of-${digits(count)}.gguf`;
  let bytes = (await stat(first)).size;
  if (count < 2) return bytes;
  if (!first.endsWith(ending))
    throw new ActError("model-file", `${first} is the first of ${count} parts, whose name must end in ${ending}. Give it that name again.`);
  for (let part = 2; part <= count; part++) {
    const other = `${first.slice(0, -ending.length)}-${digits(part)}-of-${digits(count)}.gguf`;
    const found = await stat(other).catch(() => null);
    if (!found?.isFile())
      throw new ActError(
        "model-file",
        `${basename(first)} is the first of ${count} parts, but ${basename(other)} is not beside it. Download all of them.`,
      );
    bytes += found.size;
  }
  return bytes;
}
