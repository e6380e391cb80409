// Damaged model files through the real load path, and used where they load. Whatever a file does, the engine's owner keeps a working model.
import fs from "node:fs";
import path from "node:path";
import type { EngineClient } from "../../src/client/client.js";
import { integer, type Random, random } from "../../src/core/numbers/random.js";
import { ActError } from "../../src/protocol/errors.js";
import { fill, wholeLlama } from "../fixtures/whole-llama.js";
import { type Attack, openBench, Tally } from "./attack.js";

/** A file that takes longer than this, load and use together, hangs. */
const MOST_MS = 20_000;

export const files: Attack = {
  does: "damaged headers, metadata, tensors, templates and weights through the real load path",
  shortRounds: 40,
  async run({ seed, rounds, until, say }) {
    const { folder, model: good, client, blamed, load, close } = openBench(1);
    const tally = new Tally();
    const broken: string[] = [];
    let round = 0;
    try {
      await load(good);
      for (; round < rounds && performance.now() < until; round++) {
        const { kind, bytes } = damaged(random(seed * 1_000_003 + round));
        const file = path.join(folder, `bad-${round}.gguf`);
        fs.writeFileSync(file, bytes);
        const place = `files --seed ${seed}, round ${round} (${kind})`;
        const started = performance.now();
        const outcome = await attempt(client, () => load(file)).catch((error: unknown) => {
          broken.push(`${place}: ${String(error)}`);
          return "broken";
        });
        tally.add(`${kind}: ${outcome}`);
        if (performance.now() - started > MOST_MS) broken.push(`${place} took ${Math.round(performance.now() - started)} ms`);
        if (outcome === "died in load" && blamed.at(-1) !== file)
          broken.push(`${place}: the engine died, and the file was not put on the list`);
        // The owner's model answers again, whatever happened.
        const works = await usable(client, good, load).catch((error: unknown) => String(error));
        if (works !== true) broken.push(`${place}: the model from before does not answer: ${works}`);
        fs.rmSync(file);
        if (round % 100 === 99) say(`${round + 1} files: ${JSON.stringify(tally.outcomes)}`);
      }
    } finally {
      close();
    }
    return { rounds: round, outcomes: tally.outcomes, broken };
  },
};

/** @returns what became of the file @throws where that was no sentence */
async function attempt(client: EngineClient, load: () => Promise<unknown>): Promise<string> {
  let loaded = false;
  try {
    await load();
    loaded = true;
    const calibration = null;
    await client.request("complete", { prompt: "a be c", maxTokens: 3, calibration });
    await client.request("chat", { messages: [{ role: "user", content: "a" }], maxTokens: 2, calibration });
    await client.request("logits", {
      prompt: "a be c de",
      calibration: { method: "act", heads: [[1, 0]], beta: 0.4, threshold: { mode: "fixed", value: 0.1 }, statistics: "running" },
    });
    return "used";
  } catch (error) {
    if (!(error instanceof ActError) || !/^.{10,}[.!?)]?$/s.test(error.message)) throw error;
    if (error.code === "engine-gone") return loaded ? "died in use" : "died in load";
    if (error.code === "internal" && /undefined|is not a function|\[object/.test(error.message)) throw error;
    return loaded ? "refused in use" : "refused";
  }
}

async function usable(client: EngineClient, good: string, load: (file: string) => Promise<unknown>): Promise<true> {
  const state = client.state;
  if (!(state.kind === "ready" && state.model?.path === good)) await load(good);
  const { tokens } = await client.request("complete", { prompt: "a be", maxTokens: 2, calibration: null });
  if (tokens.length === 0) throw new Error("no token");
  return true;
}

const TEMPLATES: ((rng: Random) => string)[] = [
  (rng) => `{% for i in range(${10 ** integer(rng, 9)}) %}a{% endfor %}`,
  (rng) => `{{ ${"(".repeat(integer(rng, 60_000))}1 }}`,
  (rng) => "{% if a %}".repeat(integer(rng, 5000)),
  () => "{{ messages[0].content[999999999999] }}",
  (rng) => "{{ 'x' * ".repeat(integer(rng, 50)),
  () => "{{ raise_exception('no') }}",
  (rng) => String.fromCharCode(...Array.from({ length: 300 }, () => 32 + integer(rng, 96))),
];

/** A file that was whole, and what was done to it. */
function damaged(rng: Random): { kind: string; bytes: Uint8Array } {
  const { spec, bytes, dataStart } = wholeLlama();
  const view = new DataView(bytes.buffer);
  const extreme = () => [0n, 1n, 255n, 1n << 31n, (1n << 32n) - 1n, 1n << 40n, 1n << 60n, (1n << 64n) - 1n][integer(rng, 8)] as bigint;
  switch (integer(rng, 8)) {
    case 0:
      bytes[integer(rng, dataStart)] = integer(rng, 256);
      return { kind: "byte", bytes };
    case 1:
      view.setBigUint64(integer(rng, dataStart - 8), extreme(), true);
      return { kind: "number", bytes };
    case 2:
      return { kind: "cut", bytes: bytes.subarray(0, integer(rng, bytes.length)) };
    case 3: {
      const numbers = spec.metadata.filter(([, value]) => value.type === "u32");
      const [, value] = numbers[integer(rng, numbers.length)] ?? spec.metadata[2] ?? [];
      if (value?.type === "u32")
        value.value = [0, 1, 2, 3, 5, 7, 64, 511, 513, 1000, 65_536, 2 ** 31, 2 ** 32 - 1][integer(rng, 13)] as number;
      return { kind: "count", ...fill(spec, 1) };
    }
    case 4: {
      const tensor = spec.tensors[integer(rng, spec.tensors.length)];
      if (tensor && integer(rng, 2))
        tensor.shape = tensor.shape.map((size) => (integer(rng, 2) ? size : ([0, 1, 32, 63, 65, 4096][integer(rng, 6)] ?? 1)));
      else if (tensor) tensor.type = [1, 2, 8, 12, 24, 26, 27, 28, 30, 39, 99][integer(rng, 11)] ?? 0;
      return { kind: "tensor", ...fill(spec, 1) };
    }
    case 5: {
      spec.metadata = spec.metadata.filter((_, i) => i !== integer(rng, spec.metadata.length));
      return { kind: "key missing", ...fill(spec, 1) };
    }
    case 6: {
      const template = TEMPLATES[integer(rng, TEMPLATES.length)]?.(rng) ?? "";
      spec.metadata = spec.metadata.map(([key, value]) => [
        key,
        key === "tokenizer.chat_template" ? { type: "string", value: template } : value,
      ]);
      return { kind: "template", ...fill(spec, 1) };
    }
    default: {
      for (let i = 0; i < 200; i++) {
        const at = dataStart + 4 * integer(rng, Math.floor((bytes.length - dataStart) / 4));
        view.setFloat32(at, [Number.NaN, Number.POSITIVE_INFINITY, 1e38, -1e38][integer(rng, 4)] ?? 0, true);
      }
      return { kind: "weights", bytes };
    }
  }
}
