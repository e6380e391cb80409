// Reads a file forward through a bounded window, and says in a sentence where it ends too early.
import { ActError } from "../../protocol/errors.js";

/** Metadata and tensor list together; the largest vocabularies take about 30 MB. */
const MOST_HEADER_BYTES = 128 * 2 ** 20;

/** Random access to the file's bytes. */
export interface ByteSource {
  readonly size: number;
  /** Fills `target` from `offset` on; answers the number of bytes, fewer only at the end of the file. */
  read(offset: number, target: Uint8Array): number;
}

/** Reads forward through a window of the file. */
export class Reader {
  offset = 0;
  private window: Uint8Array;
  private start = 0;
  private filled = 0;
  private readonly end: number;
  private readonly decoder = new TextDecoder();

  constructor(private readonly source: ByteSource) {
    this.end = Math.min(source.size, MOST_HEADER_BYTES);
    this.window = new Uint8Array(Math.min(256 * 1024, source.size));
  }

  /** @throws where fewer than `length` bytes are left */
  expect(length: number, what: string): void {
    if (this.offset + length <= this.end) return;
    throw bad(
      this.end < this.source.size
        ? `Its header is longer than ${MOST_HEADER_BYTES} bytes.`
        : `It ends at byte ${this.source.size}, inside ${what}: it is cut off or damaged.`,
    );
  }

  /** The next bytes; valid until the next call. */
  bytes(length: number, what: string): Uint8Array {
    this.expect(length, what);
    if (this.offset < this.start || this.offset + length > this.start + this.filled) {
      if (length > this.window.length) this.window = new Uint8Array(length);
      this.start = this.offset;
      this.filled = this.source.read(this.start, this.window);
      if (this.filled < length) throw bad(`It ended while ${what} was read: it changed meanwhile.`);
    }
    const at = this.offset - this.start;
    this.offset += length;
    return this.window.subarray(at, at + length);
  }

  view(length: number, what: string): DataView {
    const bytes = this.bytes(length, what);
    return new DataView(bytes.buffer, bytes.byteOffset, length);
  }

  skip(length: number, what: string): void {
    this.expect(length, what);
    this.offset += length;
  }

  u32(what: string): number {
    return this.view(4, what).getUint32(0, true);
  }

  /** An unsigned 64-bit number that may not exceed `limit`. */
  count(what: string, limit: number): number {
    const value = this.view(8, what).getBigUint64(0, true);
    if (value > BigInt(limit))
      throw bad(`${what[0]?.toUpperCase()}${what.slice(1)} is ${value}, more than the ${limit} that are supported.`);
    return Number(value);
  }

  string(what: string, limit: number): string {
    return this.decoder.decode(this.bytes(this.count(`the length of ${what}`, limit), what));
  }

  skipString(what: string, limit: number): void {
    this.skip(this.count(`the length of ${what}`, limit), what);
  }
}

export function bad(sentence: string): ActError {
  return new ActError("model-file", sentence);
}

/** A name from the file, fit for a message: printable and short. */
export function shown(name: string): string {
  const clean = [...name.slice(0, 64)].map((c) => (/[\p{L}\p{N}\p{P}\p{S} ]/u.test(c) ? c : "?")).join("");
  return `"${clean}${name.length > 64 ? "…" : ""}"`;
}

export function latin1(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}
