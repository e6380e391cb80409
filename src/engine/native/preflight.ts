// Checks a model file before native code opens it.
import fs from "node:fs";
import { type GgufHeader, readGguf } from "../../core/gguf/header.js";
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
      throw new ActError("model-file", `${path} is not a usable GGUF model. ${error.message} Download it again or choose another file.`, {
        cause: error,
      });
    throw error;
  } finally {
    fs.closeSync(file);
  }
}

/** `readModelHeader`, and the file is not one whose load crashed the engine before. */
export async function preflight(path: string): Promise<GgufHeader> {
  const header = readModelHeader(path);
  if (header.layers === 0)
    throw new ActError(
      "model-file",
      `${path} has no layers: it is not a language model (an adapter or a projector, perhaps). Choose another file.`,
    );
  await assertNotQuarantined(path);
  return header;
}
