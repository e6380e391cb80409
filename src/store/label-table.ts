// A table of rows to label: CSV, TSV or JSON Lines. What is written back differs from what was read in the new cells alone.
import fs from "node:fs/promises";
import { Readable } from "node:stream";
import { setImmediate } from "node:timers/promises";
import { CsvError, parse } from "csv-parse";
import { ActError } from "../protocol/errors.js";
import { readTextFile, UnreadableFile } from "./text-file.js";

/** Longest table that is read, in bytes. */
const MOST_BYTES = 128 * 2 ** 20;
/** The column of labels: filled cells are labelled rows, empty ones are to be labelled. */
const LABEL = "label";

export interface TableRow {
  /** File and line, for errors. */
  where: string;
  fields: Record<string, string>;
  /** What stands in its label cell; null where nothing does. */
  mark: string | number | null;
}

/** What a row gets; null leaves the cell empty. A row that is marked keeps its mark. */
export interface Cells {
  label: string | number | null;
  probability: number | null;
}

export interface Table {
  format: "csv" | "tsv" | "jsonl";
  columns: string[];
  rows: TableRow[];
  /** The whole table with its new cells, `cells` by row. */
  render(cells: readonly Cells[]): string;
}

/** @throws ActError `data` naming file and line: not readable, no table, quotes that do not match, rows of different width */
export async function readTable(file: string): Promise<Table> {
  const format = /\.(csv|tsv|jsonl)$/i.exec(file)?.[1]?.toLowerCase() as Table["format"] | undefined;
  if (!format) throw new ActError("usage", `${file} is not read as a table: its name must end in .csv, .tsv or .jsonl.`);
  const text = await readTextFile(file, { most: MOST_BYTES, strict: true }).catch((error: unknown) => {
    if (!(error instanceof UnreadableFile)) throw error;
    throw new ActError("data", `The rows in ${file} cannot be read: ${error.message}.`, { cause: error });
  });
  const marked = await hasByteOrderMark(file);
  const table = await (format === "jsonl" ? jsonTable(text, file) : csvTable(text, file, format));
  return { ...table, render: (cells) => (marked ? "\ufeff" : "") + table.render(cells) };
}

async function hasByteOrderMark(file: string): Promise<boolean> {
  const handle = await fs.open(file);
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(3), 0, 3, 0);
    return /^(efbbbf|fffe|feff)/.test(buffer.toString("hex", 0, bytesRead));
  } finally {
    await handle.close();
  }
}

interface CsvRecord {
  record: string[];
  /** As it stands in the file, with some of the line ends around it. */
  raw: string;
  info: { lines: number };
}

/** Characters that are parsed at once: a parser of a long text must not keep its process from answering. */
const PIECE = 1 << 18;

async function* pieces(text: string): AsyncGenerator<string> {
  for (let at = 0; at < text.length; at += PIECE) {
    await setImmediate();
    yield text.slice(at, at + PIECE);
  }
}

async function csvTable(text: string, file: string, format: "csv" | "tsv"): Promise<Table> {
  const delimiter = format === "tsv" ? "\t" : delimiterOf(text);
  const records: CsvRecord[] = [];
  try {
    const parser = parse({ delimiter, raw: true, info: true, skip_empty_lines: true });
    const source = Readable.from(pieces(text), { objectMode: true });
    source.pipe(parser);
    for await (const record of parser) records.push(record as CsvRecord);
  } catch (error) {
    if (!(error instanceof CsvError)) throw error;
    const said = error.message.replace(/ (on|at) line \d+$/, "");
    throw new ActError("data", `${file}, line ${String((error as { lines?: number }).lines ?? "?")}: ${said}.`, { cause: error });
  }
  const [header, ...body] = records;
  if (!header || body.length === 0)
    throw new ActError("data", `${file} has no rows; expected a line of column names and at least one row.`);
  const columns = header.record.map((name) => name.trim());
  const twice = columns.find((name, i) => columns.indexOf(name) !== i);
  if (twice !== undefined) throw new ActError("data", `${file} has two columns named "${twice}".`);
  const label = columns.indexOf(LABEL);
  const newline = /\r\n|\n|\r/.exec(text.slice(header.raw.replace(/[\r\n]+$/, "").length))?.[0] ?? "\n";
  const bare = (raw: string) => raw.replace(/^[\r\n]+|[\r\n]+$/g, "");
  const probability = columns.includes("probability") ? "label_probability" : "probability";
  return {
    format,
    columns,
    rows: body.map(({ record, info }) => ({
      where: `${file}, line ${info.lines}`,
      fields: Object.fromEntries(columns.map((name, i) => [name, record[i] ?? ""])),
      mark: label >= 0 && record[label]?.trim() ? (record[label] as string) : null,
    })),
    render: (cells) => {
      const lines = body.map(({ raw, record }, i) => {
        const { label: given, probability: sure } = cells[i] as Cells;
        const own = rawCells(bare(raw), delimiter);
        const value = given === null ? "" : quoted(String(given), delimiter);
        if (label < 0) own.push(value);
        else if (!record[label]?.trim()) own[label] = value;
        own.push(sure === null ? "" : sure.toFixed(4));
        return own.join(delimiter);
      });
      const names = [bare(header.raw), ...(label < 0 ? [LABEL] : []), probability].join(delimiter);
      return [names, ...lines].join(newline) + (/[\r\n]$/.test(text) ? newline : "");
    },
  };
}

/** What stands between the names of the first line most often. */
function delimiterOf(text: string): string {
  const first = /^[^\r\n]*/.exec(text)?.[0] ?? "";
  const outside = first.replace(/"(?:[^"]|"")*"/g, "");
  const count = (mark: string) => outside.split(mark).length;
  return [",", ";", "\t"].reduce((best, mark) => (count(mark) > count(best) ? mark : best));
}

/** The cells of one record as they stand in the file, quotes and all. */
function rawCells(raw: string, delimiter: string): string[] {
  const cells: string[] = [];
  let start = 0;
  for (;;) {
    // A quoted cell ends at a quote that no second one follows.
    let end = start;
    if (raw[start] === '"')
      do end = raw.indexOf('"', end + 1) + 1;
      while (raw[end] === '"');
    end = raw.indexOf(delimiter, end);
    if (end < 0) return [...cells, raw.slice(start)];
    cells.push(raw.slice(start, end));
    start = end + 1;
  }
}

function quoted(value: string, delimiter: string): string {
  return value.includes(delimiter) || /["\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value;
}

async function jsonTable(text: string, file: string): Promise<Table> {
  const lines = text.split("\n");
  while (lines.at(-1)?.trim() === "") lines.pop();
  if (lines.length === 0) throw new ActError("data", `${file} has no rows; expected one JSON object a line.`);
  const objects: { where: string; value: Record<string, unknown> }[] = [];
  let parsed = 0;
  for (const [i, line] of lines.entries()) {
    parsed += line.length;
    if (parsed > PIECE) {
      parsed = 0;
      await setImmediate();
    }
    const where = `${file}, line ${i + 1}`;
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch (error) {
      throw new ActError("data", `${where} is no JSON: ${(error as Error).message}`, { cause: error });
    }
    if (typeof value !== "object" || value === null || Array.isArray(value)) throw new ActError("data", `${where} is no JSON object.`);
    objects.push({ where, value: value as Record<string, unknown> });
  }
  const texts = (value: Record<string, unknown>) =>
    Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === "string");
  return {
    format: "jsonl",
    columns: Object.keys(objects[0]?.value ?? {}),
    rows: objects.map(({ where, value }) => ({ where, fields: Object.fromEntries(texts(value)), mark: markOf(value[LABEL]) })),
    render: (cells) =>
      `${objects
        .map(({ value }, i) => {
          const line = lines[i] as string;
          const { label, probability } = cells[i] as Cells;
          if (markOf(value[LABEL]) !== null) return line;
          // In the text itself, so that numbers and spaces of the row stay as they are; a label key that is there already is written over.
          if (LABEL in value || "probability" in value) return JSON.stringify({ ...value, label, probability: rounded(probability) });
          const body = line.trimEnd().slice(0, -1).trimEnd();
          const added = JSON.stringify({ label, probability: rounded(probability) }).slice(1);
          return `${body}${body.endsWith("{") ? "" : ", "}${added}${line.endsWith("\r") ? "\r" : ""}`;
        })
        .join("\n")}${text.endsWith("\n") ? "\n" : ""}`,
  };
}

function markOf(value: unknown): string | number | null {
  return typeof value === "number" || (typeof value === "string" && value.trim() !== "") ? value : null;
}

function rounded(probability: number | null): number | null {
  return probability === null ? null : Number(probability.toFixed(4));
}
