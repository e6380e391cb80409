// Downloads one file over HTTP: resumes what an earlier attempt left, checks size and hash, and puts the file there complete or not at all.
import { createHash, type Hash } from "node:crypto";
import { createReadStream } from "node:fs";
import fs from "node:fs/promises";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import * as v from "valibot";
import { ActError } from "../protocol/errors.js";
import { storeError, writeFileAtomic } from "./atomic.js";
import { makeFolder } from "./folder.mjs";
import { withLock } from "./lock.mjs";

export interface DownloadOptions {
  url: string;
  /** Where the complete file goes; `FILE.part` beside it holds what has arrived so far. */
  file: string;
  /** Lower-case hex. Without it only the length is checked. */
  sha256?: string;
  /** The file is refused when it is longer. */
  maxBytes?: number;
  /** Aborting pauses: what has arrived is kept, and the next call goes on from there. See `discardDownload`. */
  signal?: AbortSignal;
  onProgress?: (progress: DownloadProgress) => void;
  /** Milliseconds without an answer, or without a byte, after which the connection is given up. Default 30,000. */
  stallMs?: number;
  /** How often a connection that broke is taken up again before the call fails. Default 3. */
  retries?: number;
  /** Pause before the first retry in milliseconds, doubled each time. Default 1000. */
  retryDelayMs?: number;
}

export interface DownloadProgress {
  receivedBytes: number;
  /** null while unknown. */
  totalBytes: number | null;
  bytesPerSecond: number;
}

const StateSchema = v.object({ url: v.string(), validator: v.nullable(v.string()), totalBytes: v.nullable(v.number()) });
/** What the `.part` file belongs to; `validator` is a strong ETag or a Last-Modified date. */
type State = v.InferOutput<typeof StateSchema>;

const partFile = (file: string) => `${file}.part`;
const stateFile = (file: string) => `${file}.part.json`;

/** Removes what an unfinished download left. */
export async function discardDownload(file: string): Promise<void> {
  await fs.rm(partFile(file), { force: true });
  await fs.rm(stateFile(file), { force: true });
}

/**
 * @returns the file's sha256
 * @throws ActError `download` (not found, changed, wrong hash, too long, connection lost), `store` (disk), `cancelled` (signal)
 */
export async function download(options: DownloadOptions): Promise<{ bytes: number; sha256: string }> {
  const { file, signal, retries = 3, retryDelayMs = 1000 } = options;
  checkUrl(options.url);
  try {
    await makeFolder(path.dirname(path.resolve(file)));
    return await withLock(
      `${file}.lock`,
      async () => {
        for (let attempt = 0; ; attempt++) {
          try {
            return await attemptDownload(options);
          } catch (error) {
            if (!(error instanceof BrokenConnection)) throw error;
            if (attempt >= retries)
              throw new ActError(
                "download",
                `The download of ${options.url} broke off: ${error.message}. What has arrived is kept; try again to go on from there.`,
                { cause: error },
              );
            await sleep(retryDelayMs * 2 ** attempt, undefined, { signal });
          }
        }
      },
      { signal },
    );
  } catch (error) {
    if (signal?.aborted) throw new ActError("cancelled", "The download was paused; it goes on from there next time.", { cause: error });
    throw storeError(error, file);
  }
}

/** A connection that may work when it is tried again. */
class BrokenConnection extends Error {}

async function attemptDownload(options: DownloadOptions): Promise<{ bytes: number; sha256: string }> {
  const { url, file, sha256, maxBytes = Number.MAX_SAFE_INTEGER, signal, onProgress, stallMs = 30_000 } = options;
  const state = await readState(file, url);
  let received = state ? ((await fs.stat(partFile(file)).catch(() => null))?.size ?? 0) : 0;

  const stall = new AbortController();
  const timer = setTimeout(() => stall.abort(), stallMs);
  const stalled = () => new BrokenConnection(`nothing arrived for ${Math.round(stallMs / 1000)} s`);
  const combined = signal ? AbortSignal.any([signal, stall.signal]) : stall.signal;
  try {
    const headers: Record<string, string> = { "accept-encoding": "identity" };
    // Without a validator the server cannot say whether the rest still belongs to what is here: then from the start.
    if (received > 0 && state?.validator) Object.assign(headers, { range: `bytes=${received}-`, "if-range": state.validator });
    const response = await fetchChecked(url, { headers, signal: combined }).catch((error: unknown) => {
      if (signal?.aborted || error instanceof ActError) throw error;
      throw stall.signal.aborted ? stalled() : new BrokenConnection(reasonOf(error));
    });
    if (response.status === 416) {
      // The server's file is no longer than ours: either it was complete already, or it changed.
      await response.body?.cancel();
      if (state?.totalBytes === received) return await finish(file, sha256, received, null);
      await discardDownload(file);
      throw new BrokenConnection("the file on the server changed");
    }
    if (!response.ok || !response.body) {
      await response.body?.cancel();
      if (response.status >= 500 || response.status === 429 || response.status === 408)
        throw new BrokenConnection(`the server answered ${response.status}`);
      throw new ActError("download", `${url} cannot be downloaded: the server answered ${response.status} ${response.statusText}.`);
    }
    const range = response.status === 206 ? parseContentRange(response.headers.get("content-range")) : null;
    if (response.status === 206 && range?.start !== received)
      throw new ActError("download", `${url}: the server sent another part than was asked for.`);
    if (response.status !== 206) received = 0;
    // fetch decodes an encoded body, so its length says nothing about what arrives: the hash decides.
    const isEncoded = !["", "identity"].includes((response.headers.get("content-encoding") ?? "").trim().toLowerCase());
    const length = isEncoded ? Number.NaN : Number(response.headers.get("content-length") ?? Number.NaN);
    const total = range?.total ?? (Number.isFinite(length) ? length : null);
    if (total !== null && total > maxBytes) {
      await response.body.cancel();
      await discardDownload(file);
      throw new ActError("download", `${url} is ${total} bytes long; at most ${maxBytes} are accepted.`);
    }
    await assertSpace(file, total === null ? 0 : total - received);

    const hash = createHash("sha256");
    if (received > 0) await addToHash(hash, partFile(file));
    // A part of an encoded body is no part of the file.
    const next: State = { url, validator: isEncoded ? null : validatorOf(response.headers), totalBytes: total };
    await writeFileAtomic(stateFile(file), JSON.stringify(next));
    const handle = await fs.open(partFile(file), received > 0 ? "a" : "w");
    const meter = speedometer();
    try {
      onProgress?.({ receivedBytes: received, totalBytes: total, bytesPerSecond: 0 });
      for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
        timer.refresh();
        received += chunk.length;
        if (received > Math.min(maxBytes, total ?? maxBytes)) {
          await discardDownload(file);
          throw new ActError("download", `${url} sent more than the ${Math.min(maxBytes, total ?? maxBytes)} bytes that were expected.`);
        }
        await handle.writeFile(chunk);
        hash.update(chunk);
        const bytesPerSecond = meter(chunk.length);
        if (bytesPerSecond !== null) onProgress?.({ receivedBytes: received, totalBytes: total, bytesPerSecond });
      }
      await handle.sync();
    } catch (error) {
      if (error instanceof ActError || signal?.aborted || isFileError(error)) throw error;
      throw stall.signal.aborted ? stalled() : new BrokenConnection(reasonOf(error));
    } finally {
      await handle.close();
    }
    if (total !== null && received < total) throw new BrokenConnection(`the connection ended after ${received} of ${total} bytes`);
    onProgress?.({ receivedBytes: received, totalBytes: total ?? received, bytesPerSecond: 0 });
    return await finish(file, sha256, received, hash);
  } finally {
    clearTimeout(timer);
  }
}

async function finish(
  file: string,
  expected: string | undefined,
  bytes: number,
  running: Hash | null,
): Promise<{ bytes: number; sha256: string }> {
  const hash = running ?? createHash("sha256");
  if (!running) await addToHash(hash, partFile(file));
  const sha256 = hash.digest("hex");
  if (expected !== undefined && sha256 !== expected.toLowerCase()) {
    await discardDownload(file);
    throw new ActError(
      "download",
      `${path.basename(file)} arrived with sha256 ${sha256} instead of ${expected}: it was changed or damaged, and was thrown away.`,
    );
  }
  await fs.rename(partFile(file), file);
  await fs.rm(stateFile(file), { force: true });
  return { bytes, sha256 };
}

const MOST_REDIRECTS = 10;

/**
 * fetch, with every address on the way checked before anything is sent to it.
 * @throws ActError `download` for an address that is not allowed, or too many of them
 */
export async function fetchChecked(url: string, options: RequestInit): Promise<Response> {
  let address = url;
  for (let hop = 0; hop <= MOST_REDIRECTS; hop++) {
    checkUrl(address, hop === 0 ? null : url);
    const response = await fetch(address, { ...options, redirect: "manual" });
    const location = response.headers.get("location");
    if (![301, 302, 303, 307, 308].includes(response.status) || location === null) return response;
    await response.body?.cancel();
    if (!URL.canParse(location, address)) throw new ActError("download", `${address} leads to "${location}", which is not an address.`);
    address = new URL(location, address).href;
  }
  throw new ActError("download", `${url} leads from one address to the next more than ${MOST_REDIRECTS} times.`);
}

/** Names and addresses of this machine and of private networks, which a server elsewhere has no reason to name. */
const PRIVATE =
  /^(localhost|.*\.(localhost|local|internal)|0\.|10\.|127\.|169\.254\.|172\.(1[6-9]|2\d|3[01])\.|192\.168\.|100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])\.|\[(::1?|f[cde][0-9a-f]*:.*|::ffff:.*)\]$)/i;

/**
 * Only https, but for a server on this machine.
 * @param from the address that a redirect began at; null for one that the user named
 */
function checkUrl(text: string, from: string | null = null): void {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw new ActError("usage", `"${text}" is not a URL.`);
  }
  const local = ["127.0.0.1", "localhost", "[::1]"].includes(url.hostname);
  if (url.protocol !== "https:" && !(url.protocol === "http:" && local))
    throw new ActError("download", `${text} is not downloaded: only https addresses are.`);
  if (from !== null && PRIVATE.test(url.hostname) && url.host !== new URL(from).host && !PRIVATE.test(new URL(from).hostname))
    throw new ActError("download", `${from} leads to ${url.host}, an address of a private network; nothing is asked there.`);
}

function validatorOf(headers: Headers): string | null {
  const etag = headers.get("etag");
  return etag && !etag.startsWith("W/") ? etag : headers.get("last-modified");
}

function parseContentRange(header: string | null): { start: number; total: number | null } | null {
  const match = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(header ?? "");
  return match ? { start: Number(match[1]), total: match[2] === "*" ? null : Number(match[2]) } : null;
}

async function readState(file: string, url: string): Promise<State | null> {
  try {
    const state = v.parse(StateSchema, JSON.parse(await fs.readFile(stateFile(file), "utf8")));
    return state.url === url ? state : null;
  } catch {
    return null;
  }
}

async function addToHash(hash: Hash, file: string): Promise<void> {
  for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer);
}

/** @throws ActError `store` where the disk that holds `file` has less free than that */
export async function assertSpace(file: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await fs.statfs(path.dirname(file));
  if (bytes > bavail * bsize)
    throw new ActError(
      "store",
      `${path.basename(file)} needs ${bytes} more bytes, but only ${bavail * bsize} are free at ${path.dirname(file)}. Free some space and try again.`,
    );
}

function isFileError(error: unknown): boolean {
  return ["ENOSPC", "EDQUOT", "EACCES", "EPERM", "EROFS", "EIO", "EFBIG"].includes((error as NodeJS.ErrnoException)?.code ?? "");
}

/** fetch hides the reason one level down. */
function reasonOf(error: unknown): string {
  const cause = (error as Error)?.cause;
  return cause instanceof Error && cause.message ? cause.message : error instanceof Error ? error.message : String(error);
}

/** Speed over the last seconds; answers null unless a tenth of a second has passed since its last number. */
function speedometer(): (bytes: number) => number | null {
  let speed = 0;
  let last = performance.now();
  let sum = 0;
  return (bytes) => {
    sum += bytes;
    const now = performance.now();
    const seconds = (now - last) / 1000;
    if (seconds < 0.1) return null;
    const current = sum / seconds;
    speed = speed === 0 ? current : speed + (current - speed) * Math.min(1, seconds / 3);
    last = now;
    sum = 0;
    return speed;
  };
}
