import assert from "node:assert/strict";
import fs from "node:fs/promises";
import http from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";
import { test } from "node:test";
import { temporaryFolder } from "../../test/fixtures/temporary.js";
import { ActError } from "../protocol/errors.js";
import { loadMtBench, loadTask } from "./data.js";
import { fetchHubData, HUB_SOURCES, type HubSource } from "./hub-data.js";

const COMMIT = "a".repeat(40);
const line = (text: string, label: unknown) => `${JSON.stringify({ text, label, label_text: "x" })}\n`;
const TRAIN = line("good", 1) + line("bad", 0) + line("Good ", 1) + line("good", 1) + line(" ", 1);
const TEST = line("fine", 1);

/** A Hub in miniature; `files` may change between requests. */
async function withHub(
  files: Record<string, string>,
  use: (endpoint: string, folder: string, requests: string[]) => Promise<void>,
  commit: string | null = COMMIT,
) {
  const requests: string[] = [];
  const server = http.createServer((request, response) => {
    requests.push(`${request.method} ${request.url}`);
    const [, revision, name] = /\/resolve\/([^/]+)\/(.+)$/.exec(request.url ?? "") ?? [];
    const content = files[name ?? ""];
    if (content === undefined || (revision !== "main" && revision !== COMMIT)) return void response.writeHead(404).end();
    response
      .writeHead(200, { "content-length": Buffer.byteLength(content), ...(commit ? { "x-repo-commit": commit } : {}) })
      .end(request.method === "HEAD" ? undefined : content);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const root = temporaryFolder("data");
  try {
    await use(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, path.join(root, "data", "sst2"), requests);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}
const rows = async (file: string) =>
  (await fs.readFile(file, "utf8"))
    .trim()
    .split("\n")
    .map((text) => JSON.parse(text) as { text: string; label: number; split: string });

test("a data set from the Hub: one revision for all files, duplicates and empty rows left out, then pinned", async () => {
  await withHub({ "train.jsonl": TRAIN, "dev.jsonl": TEST }, async (endpoint, folder, requests) => {
    await fetchHubData("sst2", folder, { endpoint });
    assert.deepEqual((await rows(path.join(folder, "train.jsonl"))).map(({ text }) => text).sort(), ["Good ", "bad", "good"]);
    assert.deepEqual(
      (await rows(path.join(folder, "test.jsonl"))).map(({ text, label, split }) => [text, label, split]),
      [["fine", 1, "test"]],
    );
    assert.deepEqual(
      requests.filter((request) => request.startsWith("GET")),
      [`GET /datasets/SetFit/sst2/resolve/${COMMIT}/train.jsonl`, `GET /datasets/SetFit/sst2/resolve/${COMMIT}/dev.jsonl`],
    );
    const pin = JSON.parse(await fs.readFile(`${folder}.pin.json`, "utf8")) as { commit: string };
    assert.equal(pin.commit, COMMIT);
  });
});

test("changed content under a pinned revision is refused, and nothing takes the old data's place", async () => {
  const files: Record<string, string> = { "train.jsonl": TRAIN, "dev.jsonl": TEST };
  await withHub(files, async (endpoint, folder) => {
    await fetchHubData("sst2", folder, { endpoint });
    await fs.rm(folder, { recursive: true });
    files["train.jsonl"] = TRAIN + line("slipped in", 1);
    await assert.rejects(
      fetchHubData("sst2", folder, { endpoint }),
      (error: unknown) => error instanceof ActError && error.code === "download" && /sha256/.test(error.message),
    );
    await assert.rejects(fs.stat(folder));
  });
});

test("a hash that this version knows is checked at first use", async () => {
  const source: HubSource = {
    ...(HUB_SOURCES.sst2 as HubSource),
    revision: COMMIT,
    files: [{ split: "train", path: "train.jsonl", sha256: "0".repeat(64) }],
  };
  await withHub({ "train.jsonl": TRAIN }, async (endpoint, folder, requests) => {
    await assert.rejects(fetchHubData("sst2", folder, { endpoint, sources: { sst2: source } }), /instead of 0000/);
    assert.ok(
      requests.every((request) => !request.startsWith("HEAD")),
      "a commit needs no resolving",
    );
  });
});

test("what cannot be had is a sentence", async () => {
  await withHub({}, async (endpoint, folder) => {
    await assert.rejects(fetchHubData("sst2", folder, { endpoint }), /answered 404/);
    await assert.rejects(fetchHubData("CB", folder, { endpoint }), /act … --data FOLDER, or the variable ACT_DATA/);
    await assert.rejects(fetchHubData("sst2", folder, { endpoint: "http://127.0.0.1:9" }), /cannot be reached/);
  });
  await withHub({ "train.jsonl": line("x", 7), "dev.jsonl": TEST }, async (endpoint, folder) => {
    await assert.rejects(fetchHubData("sst2", folder, { endpoint }), /line 1: label 7 is out of range/);
  });
  await withHub(
    { "train.jsonl": TRAIN, "dev.jsonl": TEST },
    async (endpoint, folder) => {
      await assert.rejects(fetchHubData("sst2", folder, { endpoint }), /which revision/);
    },
    null,
  );
});

test("data from a folder, from ACT_DATA, from a task file", async () => {
  const root = temporaryFolder("data");
  await fs.mkdir(path.join(root, "sst2"));
  await fs.writeFile(path.join(root, "sst2", "train.jsonl"), line("a", 0));
  await fs.writeFile(path.join(root, "sst2", "test.jsonl"), line("b", 1));
  for (const options of [{ data: root, env: {} }, { env: { ACT_DATA: root } }]) {
    const { task, train, test: own } = await loadTask("SST2", options);
    assert.deepEqual([task.name, train.length, own[0]?.label], ["sst2", 1, 1]);
  }
  await assert.rejects(loadTask("AGNews", { data: root }), /no folder "AGNews"/);
  await assert.rejects(loadTask("mine.json", { data: root }), /task file mine\.json cannot be read/);
  await fs.writeFile(path.join(root, "sst2", "test.jsonl"), "");
  await assert.rejects(loadTask("sst2", { data: root }), /test\.jsonl is empty/);
  await assert.rejects(loadMtBench({ data: root }), /no folder "mt_bench"/);
});
