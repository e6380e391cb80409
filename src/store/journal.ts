// An append-only record of a long run: JSON lines, the first one a header that says what the run is. Each batch is on disk before the
// next begins, so a kill at any point loses at most one batch; a line that was being written is dropped when the journal is read.
import { createReadStream } from "node:fs";
import fs, { type FileHandle } from "node:fs/promises";
import path from "node:path";
import * as v from "valibot";
import { ActError } from "../protocol/errors.js";
import { storeError } from "./atomic.js";
import { makeFolder } from "./folder.mjs";
import { tryLock } from "./lock.mjs";

const HeaderSchema = v.object({
  journal: v.literal(1),
  /** What kind of run: "calibrate", "evaluate"… */
  kind: v.string(),
  model: v.object({ name: v.string(), sha256: v.string() }),
  /** Version of the program; another one may score differently. */
  version: v.string(),
  /** Everything else that the records depend on. */
  options: v.record(v.string(), v.unknown()),
});
export type JournalHeader = v.InferOutput<typeof HeaderSchema>;

export interface JournalContent {
  header: JournalHeader;
  records: unknown[];
  /** Bytes up to the end of the last complete line. */
  bytes: number;
}

export class Journal {
  private tail: Promise<void> = Promise.resolve();

  private constructor(
    readonly file: string,
    private readonly handle: FileHandle,
    private readonly lock: { release: () => Promise<void> },
    /** Where the next batch goes. */
    private position: number,
  ) {}

  /**
   * Opens a journal for one writer. With `resume` an existing one is gone on with and its records are answered; without, an existing
   * one is put aside under its time of change.
   * @throws ActError `usage` (in use by another run, or of another model, version or options), `data` (damaged), `store` (disk)
   */
  static async open(
    file: string,
    header: Omit<JournalHeader, "journal">,
    { resume }: { resume: boolean },
  ): Promise<{ journal: Journal; records: unknown[] }> {
    const full: JournalHeader = { journal: 1, ...header };
    try {
      await makeFolder(path.dirname(path.resolve(file)));
      const lock = await tryLock(`${file}.lock`);
      if (!lock) throw new ActError("usage", `Another run is writing the journal ${file}. Wait for it, stop it, or choose another file.`);
      try {
        const found = await readIfPresent(file);
        if (found && resume) assertSame(file, found.header, full);
        if (found && !resume) await putAside(file);
        const goOn = found !== null && resume;
        const handle = await fs.open(file, goOn ? "r+" : "w");
        if (goOn) await handle.truncate(found.bytes);
        const journal = new Journal(file, handle, lock, goOn ? found.bytes : 0);
        if (!goOn) await journal.append([full]);
        return { journal, records: goOn ? found.records : [] };
      } catch (error) {
        await lock.release();
        throw error;
      }
    } catch (error) {
      throw storeError(error, file);
    }
  }

  /** Adds one batch; resolved when it is on disk. Batches are written in the order of the calls. Errors: `store`. */
  append(records: readonly unknown[]): Promise<void> {
    const text = records.map((record) => `${JSON.stringify(record)}\n`).join("");
    const written = this.tail.then(async () => {
      try {
        const bytes = Buffer.from(text);
        for (let done = 0; done < bytes.length; ) {
          const { bytesWritten } = await this.handle.write(bytes, done, bytes.length - done, this.position + done);
          done += bytesWritten;
        }
        this.position += bytes.length;
        await this.handle.datasync();
      } catch (error) {
        throw storeError(error, this.file);
      }
    });
    // A batch that failed leaves the position where it was: the next one overwrites its remains.
    this.tail = written.catch(() => undefined);
    return written;
  }

  async close(): Promise<void> {
    await this.tail;
    await this.handle.truncate(this.position).catch(() => undefined);
    await this.handle.close();
    await this.lock.release();
  }
}

/** @throws ActError `data` where the file is missing, is no journal, or is damaged before its last line */
export async function readJournal(file: string): Promise<JournalContent> {
  const content = await readIfPresent(file);
  if (!content) throw new ActError("data", `The journal ${file} does not exist or is empty.`);
  return content;
}

async function readIfPresent(file: string): Promise<JournalContent | null> {
  let header: JournalHeader | null = null;
  const records: unknown[] = [];
  let bytes = 0;
  let line = 0;
  for await (const text of completeLines(file)) {
    line++;
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch (error) {
      throw new ActError("data", `${file}, line ${line} is not JSON: the journal is damaged there. Restore it or start anew.`, {
        cause: error,
      });
    }
    bytes += Buffer.byteLength(text) + 1;
    if (line > 1) {
      records.push(value);
      continue;
    }
    const parsed = v.safeParse(HeaderSchema, value);
    if (!parsed.success) throw new ActError("data", `${file} does not begin like a journal of this version. Choose another file.`);
    header = parsed.output;
  }
  return header ? { header, records, bytes } : null;
}

/** Lines that end in a line feed; a last one without was being written when the run was killed. Nothing for a missing file. */
async function* completeLines(file: string): AsyncGenerator<string> {
  let rest = Buffer.alloc(0);
  try {
    for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 })) {
      rest = Buffer.concat([rest, chunk as Buffer]);
      let start = 0;
      for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10, start)) {
        yield rest.toString("utf8", start, end);
        start = end + 1;
      }
      rest = rest.subarray(start);
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
}

function assertSame(file: string, found: JournalHeader, wanted: JournalHeader): void {
  const refuse = (what: string, was: string, is: string) =>
    new ActError(
      "usage",
      `The journal ${file} belongs to another ${what}: ${was} instead of ${is}. Use the same ${what}, or another journal.`,
    );
  if (found.kind !== wanted.kind) throw refuse("kind of run", found.kind, wanted.kind);
  if (found.model.sha256 !== wanted.model.sha256)
    throw refuse(
      "model",
      `${found.model.name} (${found.model.sha256.slice(0, 12)})`,
      `${wanted.model.name} (${wanted.model.sha256.slice(0, 12)})`,
    );
  if (found.version !== wanted.version) throw refuse("version", found.version, wanted.version);
  for (const key of new Set([...Object.keys(found.options), ...Object.keys(wanted.options)])) {
    const was = JSON.stringify(found.options[key]);
    const is = JSON.stringify(wanted.options[key]);
    if (was !== is) throw refuse(`value of ${key}`, was ?? "none", is ?? "none");
  }
}

async function putAside(file: string): Promise<void> {
  const { mtime } = await fs.stat(file);
  await fs.rename(file, `${file}.${mtime.toISOString().replaceAll(":", "-")}`);
}

/** Where a search on a folder keeps its prompts, beside its journal. */
export function promptsFile(journal: string): string {
  return `${journal}.prompts.json`;
}
