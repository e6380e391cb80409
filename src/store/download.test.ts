import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import fs from "node:fs/promises";
import http from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";
import { after, test } from "node:test";
import { gzipSync } from "node:zlib";
import { temporaryFolder } from "../../test/fixtures/temporary.js";
import type { ActError, ErrorCode } from "../protocol/errors.js";
import { type DownloadOptions, discardDownload, download } from "./download.js";

const CONTENT = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 7919 + (i >> 8)) & 0xff));
const SHA256 = createHash("sha256").update(CONTENT).digest("hex");

interface Behaviour {
  content?: Buffer;
  etag?: string | null;
  ranges?: boolean;
  status?: number;
  /** Bytes after which each connection is cut; a list is used up one by one, then nothing is cut. */
  cut?: number[];
  /** Stop sending after this many bytes, without closing. */
  stallAfter?: number;
  redirect?: string;
  hideLength?: boolean;
  gzip?: boolean;
}

const servers: http.Server[] = [];
after(() => {
  for (const server of servers) {
    server.closeAllConnections();
    server.close();
  }
});

/** A server that misbehaves as told; `behaviour` may be changed between requests. */
async function serve(behaviour: Behaviour) {
  const requests: (string | undefined)[] = [];
  const server = http.createServer((request, response) => {
    requests.push(request.headers.range);
    const { content = CONTENT, etag = '"v1"', ranges = true, status, redirect } = behaviour;
    if (redirect && request.url === "/file") return void response.writeHead(302, { location: redirect }).end();
    if (status) return void response.writeHead(status).end("no");
    const fits = etag !== null && request.headers["if-range"] === etag;
    const start = ranges && fits ? Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? 0) : 0;
    if (start >= content.length) return void response.writeHead(416, { "content-range": `bytes */${content.length}` }).end();
    const body = behaviour.gzip ? gzipSync(content) : content.subarray(start);
    const headers: http.OutgoingHttpHeaders = behaviour.hideLength ? {} : { "content-length": body.length };
    if (etag) headers.etag = etag;
    if (behaviour.gzip) headers["content-encoding"] = "gzip";
    if (start > 0) headers["content-range"] = `bytes ${start}-${content.length - 1}/${content.length}`;
    response.writeHead(start > 0 ? 206 : 200, headers);
    const cut = behaviour.cut?.shift();
    if (cut !== undefined) response.write(body.subarray(0, cut), () => setTimeout(() => response.destroy(), 50));
    else if (behaviour.stallAfter !== undefined) response.write(body.subarray(0, behaviour.stallAfter));
    else response.end(body);
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { url, requests, behaviour };
}

const target = () => path.join(temporaryFolder("download"), "model.gguf");

const quick = { sha256: SHA256, retryDelayMs: 1, stallMs: 5000 } satisfies Partial<DownloadOptions>;

async function assertComplete(file: string): Promise<void> {
  assert.ok(CONTENT.equals(await fs.readFile(file)));
  assert.deepEqual(await fs.readdir(path.dirname(file)), ["model.gguf"], "only the file is left");
}

const failsWith = (code: ErrorCode, message: RegExp) => (error: ActError) => {
  assert.equal(error.code, code, error.message);
  assert.match(error.message, message);
  return true;
};

test("a whole file, with progress that ends at its length", async () => {
  const { url } = await serve({});
  const file = target();
  const seen: number[] = [];
  const result = await download({ ...quick, url: `${url}/file`, file, onProgress: (p) => seen.push(p.receivedBytes) });
  assert.deepEqual(result, { bytes: CONTENT.length, sha256: SHA256 });
  assert.equal(seen.at(-1), CONTENT.length);
  assert.deepEqual(
    seen,
    [...seen].sort((a, b) => a - b),
  );
  await assertComplete(file);
});

test("a connection cut twice is taken up where it broke", async () => {
  const { url, requests } = await serve({ cut: [100_000, 50_000] });
  const file = target();
  await download({ ...quick, url: `${url}/file`, file });
  assert.equal(requests.length, 3);
  assert.equal(requests[0], undefined);
  assert.match(requests[1] ?? "", /^bytes=[1-9]\d*-$/);
  await assertComplete(file);
});

test("paused and gone on with by a later call", async () => {
  const { url, requests, behaviour } = await serve({ stallAfter: 120_000 });
  const file = target();
  const pause = new AbortController();
  const paused = download({
    ...quick,
    url: `${url}/file`,
    file,
    signal: pause.signal,
    onProgress: () => setTimeout(() => pause.abort(), 200),
  });
  await assert.rejects(paused, failsWith("cancelled", /paused/));
  const part = (await fs.stat(`${file}.part`)).size;
  assert.ok(part > 0 && part <= 120_000);
  behaviour.stallAfter = undefined;
  await download({ ...quick, url: `${url}/file`, file });
  assert.equal(requests[1], `bytes=${part}-`);
  await assertComplete(file);
});

test("a cancelled download leaves nothing after it was discarded", async () => {
  const { url } = await serve({ cut: [1000] });
  const file = target();
  await assert.rejects(download({ ...quick, url: `${url}/file`, file, retries: 0 }), failsWith("download", /broke off.*kept/));
  await discardDownload(file);
  assert.deepEqual(await fs.readdir(path.dirname(file)), []);
});

test("a file that changed on the server is taken from the start", async () => {
  const old = Buffer.alloc(CONTENT.length, 1);
  const { url, behaviour } = await serve({ content: old, etag: '"old"', cut: [90_000] });
  const file = target();
  await assert.rejects(download({ ...quick, url: `${url}/file`, file, retries: 0 }));
  Object.assign(behaviour, { content: CONTENT, etag: '"new"' });
  await download({ ...quick, url: `${url}/file`, file });
  await assertComplete(file);
});

test("a file that became shorter on the server is taken from the start", async () => {
  const { url, behaviour } = await serve({ content: Buffer.concat([CONTENT, CONTENT]), cut: [CONTENT.length + 10] });
  const file = target();
  await assert.rejects(download({ ...quick, url: `${url}/file`, file, retries: 0 }));
  behaviour.content = CONTENT; // with the same ETag: a broken server, noticed by the range
  await download({ ...quick, url: `${url}/file`, file });
  await assertComplete(file);
});

test("servers without ranges or without a validator: from the start, still right", async () => {
  for (const behaviour of [{ ranges: false }, { etag: null }]) {
    const { url } = await serve({ ...behaviour, cut: [150_000] });
    const file = target();
    await download({ ...quick, url: `${url}/file`, file });
    await assertComplete(file);
  }
});

test("a wrong hash is a sentence, and nothing stays", async () => {
  const { url } = await serve({ content: Buffer.from("something else") });
  const file = target();
  await assert.rejects(download({ ...quick, url: `${url}/file`, file }), failsWith("download", /sha256/));
  assert.deepEqual(await fs.readdir(path.dirname(file)), []);
});

test("an earlier file stays when its replacement fails", async () => {
  const { url } = await serve({ content: Buffer.from("damaged") });
  const file = target();
  await fs.writeFile(file, "good");
  await assert.rejects(download({ ...quick, url: `${url}/file`, file }));
  assert.equal(await fs.readFile(file, "utf8"), "good");
});

test("404 fails at once; 503 is tried again", async () => {
  const missing = await serve({ status: 404 });
  await assert.rejects(download({ ...quick, url: `${missing.url}/file`, file: target() }), failsWith("download", /404/));
  assert.equal(missing.requests.length, 1);
  const busy = await serve({ status: 503 });
  await assert.rejects(download({ ...quick, url: `${busy.url}/file`, file: target(), retries: 2 }), failsWith("download", /503/));
  assert.equal(busy.requests.length, 3);
});

test("a redirect is followed, but not to an unsafe address", async () => {
  const { url, behaviour } = await serve({ redirect: "/moved" });
  const file = target();
  await download({ ...quick, url: `${url}/file`, file });
  await assertComplete(file);
  behaviour.redirect = undefined;
  await assert.rejects(download({ ...quick, url: "http://example.invalid/x", file: target() }), failsWith("download", /only https/));
  await assert.rejects(download({ ...quick, url: "file:///etc/passwd", file: target() }), failsWith("download", /only https/));
});

test("every address of a redirect is checked before anything is sent there", async (t) => {
  const { url, behaviour } = await serve({ redirect: "http://example.invalid/plain" });
  await assert.rejects(download({ ...quick, url: `${url}/file`, file: target() }), failsWith("download", /only https/));
  behaviour.redirect = "/file";
  await assert.rejects(download({ ...quick, url: `${url}/file`, file: target() }), failsWith("download", /more than 10 times/));

  // A stand-in for the connection, since tests send nothing off this machine.
  const asked: string[] = [];
  let location = "";
  t.mock.method(globalThis, "fetch", async (address: string) => {
    asked.push(address);
    return new Response(null, { status: 302, headers: { location } });
  });
  const places = [
    "https://10.1.2.3/x",
    "https://192.168.0.1/x",
    "https://169.254.169.254/latest",
    "https://localhost/x",
    "https://[::1]/x",
    "https://[fd00::1]/x",
    "https://[::ffff:7f00:1]/x",
    "https://printer.local/x",
    "http://127.0.0.1:1/x",
  ];
  for (location of places)
    await assert.rejects(
      download({ ...quick, url: "https://example.invalid/f", file: target() }),
      failsWith("download", /private network/),
      location,
    );
  for (location of ["http://example.invalid/x", "file:///etc/passwd", "ftp://example.invalid/x", "https://%"])
    await assert.rejects(
      download({ ...quick, url: "https://example.invalid/f", file: target() }),
      failsWith("download", /only https|not an address/),
      location,
    );
  assert.deepEqual(new Set(asked), new Set(["https://example.invalid/f"]));
});

test("a compressed answer: its length is not that of the file, the hash decides", async () => {
  const { url } = await serve({ gzip: true });
  const file = target();
  await download({ ...quick, url: `${url}/file`, file });
  await assertComplete(file);
  const { url: again } = await serve({ gzip: true, cut: [5000] });
  const second = target();
  await download({ ...quick, url: `${again}/file`, file: second });
  await assertComplete(second);
  const { url: other } = await serve({ gzip: true, content: Buffer.alloc(1000, 7) });
  await assert.rejects(download({ ...quick, url: `${other}/file`, file: target() }), failsWith("download", /arrived with sha256/));
  await assert.rejects(
    download({ ...quick, url: `${url}/file`, file: target(), maxBytes: 1000 }),
    failsWith("download", /more than the 1000 bytes/),
  );
});

test("a silent server is given up", async () => {
  const { url } = await serve({ stallAfter: 10 });
  const started = performance.now();
  await assert.rejects(
    download({ ...quick, url: `${url}/file`, file: target(), stallMs: 300, retries: 1 }),
    failsWith("download", /nothing arrived/),
  );
  assert.ok(performance.now() - started < 5000);
});

test("a file that is too long is refused, announced or not", async () => {
  for (const hideLength of [false, true]) {
    const { url } = await serve({ hideLength });
    const file = target();
    await assert.rejects(download({ ...quick, url: `${url}/file`, file, maxBytes: 1000 }), failsWith("download", /1000/));
    assert.deepEqual(await fs.readdir(path.dirname(file)), []);
  }
});

test("a place that cannot be written is a sentence", async () => {
  const { url } = await serve({});
  const folder = path.dirname(target());
  await fs.writeFile(path.join(folder, "plain"), "");
  await assert.rejects(download({ ...quick, url: `${url}/file`, file: path.join(folder, "plain", "x") }), failsWith("store", /plain/));
});

test("two downloads of one file at once: one does it, both succeed", async () => {
  const { url } = await serve({});
  const file = target();
  const both = await Promise.all([download({ ...quick, url: `${url}/file`, file }), download({ ...quick, url: `${url}/file`, file })]);
  assert.deepEqual(
    both.map((result) => result.sha256),
    [SHA256, SHA256],
  );
  await assertComplete(file);
});
