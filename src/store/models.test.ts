import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import fs from "node:fs/promises";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { temporaryFolder } from "../../test/fixtures/temporary.js";
import { askHub, downloadModel, hubUrl, type KnownModel, modelPath } from "./models.js";

const CONTENT = Buffer.from("a model, as it were");
const SHA256 = createHash("sha256").update(CONTENT).digest("hex");
const MODEL: KnownModel = {
  id: "m",
  title: "M",
  repository: "o/r",
  file: "m.gguf",
  revision: "v1",
  bytes: CONTENT.length,
  sha256: SHA256,
  licence: "MIT",
  note: "",
  infill: false,
};

/** A hub in miniature: the record in the headers of the first answer, the content behind a redirect. */
async function withHub(record: string | null, use: (endpoint: string, cache: string, requests: string[]) => Promise<void>): Promise<void> {
  const requests: string[] = [];
  const server = http.createServer((request, response) => {
    requests.push(`${request.method} ${request.url}`);
    if (request.url === "/cdn") return void response.writeHead(200, { "content-length": CONTENT.length }).end(CONTENT);
    if (request.url !== "/o/r/resolve/v1/m.gguf") return void response.writeHead(404).end();
    response.writeHead(302, { location: "/cdn", ...(record && { "x-linked-etag": `"${record}"`, "x-linked-size": CONTENT.length }) }).end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const cache = temporaryFolder("models");
  try {
    await use(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, cache, requests);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

test("a model comes into the cache once, checked", async () => {
  await withHub(SHA256, async (endpoint, cache, requests) => {
    const file = await downloadModel(MODEL, { endpoint, cache });
    assert.equal(file, modelPath(MODEL, cache));
    assert.ok(CONTENT.equals(await fs.readFile(file)));
    await downloadModel(MODEL, { endpoint, cache });
    assert.deepEqual(requests, ["HEAD /o/r/resolve/v1/m.gguf", "GET /o/r/resolve/v1/m.gguf", "GET /cdn"]);
  });
});

test("a file that changed on the Hub is refused before it is downloaded, or after", async () => {
  await withHub("f".repeat(64), async (endpoint, cache, requests) => {
    await assert.rejects(downloadModel(MODEL, { endpoint, cache }), /another file/);
    assert.equal(requests.length, 1);
  });
  await withHub(null, async (endpoint, cache) => {
    await assert.rejects(downloadModel({ ...MODEL, sha256: "f".repeat(64) }, { endpoint, cache }), /sha256/);
  });
});

test("a Hub that is silent or away is given up soon", async () => {
  const silent = http.createServer(() => undefined);
  await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
  const url = hubUrl("o/r", "m.gguf", "v1", `http://127.0.0.1:${(silent.address() as AddressInfo).port}`);
  await assert.rejects(askHub(url, { timeoutMs: 200 }), /cannot be reached within 0.2 s/);
  silent.closeAllConnections();
  silent.close();
  await assert.rejects(askHub(url, { timeoutMs: 1000 }), /cannot be reached/);
});

test("addresses", () => {
  assert.equal(
    hubUrl("o/r", "sub/a b.gguf", "refs/pr/1", "https://hub.example/"),
    "https://hub.example/o/r/resolve/refs%2Fpr%2F1/sub/a%20b.gguf",
  );
});
