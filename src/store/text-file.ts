// Reading a text file that somebody else named: a plain file, not too long, in an encoding that is text.
import { constants } from "node:fs";
import fs from "node:fs/promises";
import path from "node:path";

/** What no file of text that this program reads needs to be longer than, in bytes. */
export const MOST_TEXT_BYTES = 64 * 2 ** 20;

/** Why a file is not read, as the end of a sentence: "it is a folder". */
export class UnreadableFile extends Error {}

/**
 * The text of a plain file, without its byte order mark. Opening never waits: a pipe or a device is refused.
 * @param most bytes; a longer file is refused before it is read
 * @param strict refuse bytes that are no text in the file's encoding, instead of replacing them
 * @throws UnreadableFile
 */
export async function readTextFile(file: string, { most = MOST_TEXT_BYTES, strict = false } = {}): Promise<string> {
  // Windows has neither flag.
  const flags = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0) | (constants.O_NOCTTY ?? 0);
  const handle = await fs.open(file, flags).catch((error: NodeJS.ErrnoException) => {
    throw new UnreadableFile(openReason(error), { cause: error });
  });
  try {
    const stat = await handle.stat();
    if (!stat.isFile()) throw new UnreadableFile(stat.isDirectory() ? "it is a folder" : "it is not a plain file");
    if (stat.size > most) throw new UnreadableFile(`it is ${megabytes(stat.size)} long; at most ${megabytes(most)} are read`);
    // A file of /proc says 0 and holds more.
    const bytes = Buffer.alloc(Math.max(stat.size, 65_536) + 1);
    let length = 0;
    while (length < bytes.length) {
      const { bytesRead } = await handle.read(bytes, length, bytes.length - length);
      if (bytesRead === 0) break;
      length += bytesRead;
    }
    if (length > Math.max(stat.size, 65_536)) throw new UnreadableFile("it grew while it was read");
    return decodeText(bytes.subarray(0, length), strict);
  } catch (error) {
    if (error instanceof UnreadableFile) throw error;
    throw new UnreadableFile(openReason(error as NodeJS.ErrnoException), { cause: error });
  } finally {
    await handle.close();
  }
}

/**
 * A file below `root`, which no link on the way leads out of. @param relative with forward slashes
 * @throws UnreadableFile
 */
export async function readTextInside(root: string, relative: string, options?: { most?: number }): Promise<string> {
  const [real, file] = await Promise.all([fs.realpath(root), fs.realpath(path.join(root, relative))]).catch((error) => {
    throw new UnreadableFile(openReason(error), { cause: error });
  });
  if (!file.startsWith(real.endsWith(path.sep) ? real : real + path.sep)) throw new UnreadableFile("a link leads out of the folder");
  return await readTextFile(file, options);
}

/** UTF-8, or UTF-16 where the byte order mark says so. @throws UnreadableFile with `strict`, where the bytes are something else */
export function decodeText(bytes: Uint8Array, strict: boolean): string {
  const encoding = bytes[0] === 0xff && bytes[1] === 0xfe ? "utf-16le" : bytes[0] === 0xfe && bytes[1] === 0xff ? "utf-16be" : "utf-8";
  try {
    return new TextDecoder(encoding, { fatal: strict }).decode(bytes);
  } catch {
    throw new UnreadableFile(`it is not ${encoding.toUpperCase()} text`);
  }
}

function openReason(error: NodeJS.ErrnoException): string {
  switch (error.code) {
    case "ENOENT":
    case "ENOTDIR":
      return "it does not exist";
    case "EACCES":
    case "EPERM":
      return "permission is denied";
    case "EISDIR":
      return "it is a folder";
    case "ENXIO":
    case "EOPNOTSUPP":
      return "it is not a plain file";
    default:
      return error.code ?? error.message;
  }
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;
}
