// What every attack is: a seeded campaign against the product as it is, whose rounds can be repeated from the line they print.
import fs from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { EngineClient } from "../../src/client/client.js";
import { wholeLlama } from "../fixtures/whole-llama.js";

export interface AttackOptions {
  seed: number;
  /** Rounds to make; fewer where the time is over. */
  rounds: number;
  /** When to stop, as of `performance.now()`. */
  until: number;
  say(line: string): void;
}

export interface AttackReport {
  rounds: number;
  /** What the rounds came to, counted. */
  outcomes: Record<string, number>;
  /** A sentence with its seed and round for each thing that must not happen. Empty where the attack was withstood. */
  broken: string[];
}

export interface Attack {
  does: string;
  /** Rounds of the short form, in `npm test`. */
  shortRounds: number;
  run(options: AttackOptions): Promise<AttackReport>;
}

/** Counts outcomes. */
export class Tally {
  readonly outcomes: Record<string, number> = {};
  add(outcome: string): void {
    this.outcomes[outcome] = (this.outcomes[outcome] ?? 0) + 1;
  }
}

/** An engine of its own with a small model in a folder of its own. */
export interface Bench {
  folder: string;
  model: string;
  client: EngineClient;
  /** Files that were put on the list of those that crash. */
  blamed: string[];
  load(file: string): Promise<unknown>;
  close(): void;
}

export function openBench(sequences: number): Bench {
  const folder = fs.mkdtempSync(path.join(tmpdir(), "act-attack-"));
  const model = path.join(folder, "good.gguf");
  fs.writeFileSync(model, wholeLlama().bytes);
  const blamed: string[] = [];
  const client = new EngineClient({
    entry: path.resolve("dist/engine.mjs"),
    backoffMs: Array(100_000).fill(0),
    hangMs: 5000,
    quarantine: async (file) => void blamed.push(file),
  });
  return {
    folder,
    model,
    client,
    blamed,
    load: (file) => client.request("load", { path: file, contextSize: 256, sequences, backend: "cpu", threads: 1 }),
    close: () => {
      client.dispose();
      fs.rmSync(folder, { recursive: true, force: true });
    },
  };
}
