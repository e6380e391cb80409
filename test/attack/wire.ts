// Frames that no client of ours would send, straight into the engine's process. It drops or refuses each and goes on answering.
import { type ChildProcess, fork } from "node:child_process";
import path from "node:path";
import { COMPUTING } from "../../src/client/client.js";
import { integer, type Random, random } from "../../src/core/numbers/random.js";
import { type Attack, Tally } from "./attack.js";

const METHODS = [
  "handshake",
  "load",
  "unload",
  "count",
  "tokenize",
  "complete",
  "infill",
  "chat",
  "logits",
  "sinks",
  "headMatrix",
  "calibrate",
  "bench",
];
const NAMES = [
  "constructor",
  "__proto__",
  "toString",
  "hasOwnProperty",
  "",
  "$/",
  "$/cancelRequest",
  "$/progress",
  "$/setTrace",
  "exit",
  "x".repeat(10_000),
];

export const wire: Attack = {
  does: "malformed, unknown, huge, repeated and nested frames into the engine's process",
  shortRounds: 300,
  async run({ seed, rounds, until, say }) {
    const tally = new Tally();
    const broken: string[] = [];
    let engine = new RawEngine();
    let round = 0;
    for (; round < rounds && performance.now() < until; round++) {
      const { kind, frame } = hostile(random(seed * 1_000_003 + round));
      engine.send(frame);
      if (round % 10 !== 9) continue;
      const answer = await engine.handshake();
      tally.add(`${kind}, and nine before: ${answer}`);
      if (answer !== "answers") {
        broken.push(`wire --seed ${seed}, round ${round - 9} to ${round}: the engine ${answer}`);
        engine.end();
        engine = new RawEngine();
      }
      if (round % 1000 === 999) say(`${round + 1} frames`);
    }
    engine.end();
    return { rounds: round, outcomes: tally.outcomes, broken };
  },
};

class RawEngine {
  private readonly child: ChildProcess;
  private next = 1_000_000;
  private ended: string | null = null;

  constructor() {
    this.child = fork(path.resolve("dist/engine.mjs"), [], {
      serialization: "advanced",
      stdio: ["ignore", "ignore", "ignore", "ipc"],
      env: { ...process.env, ...COMPUTING },
    });
    this.child.on("exit", (code, signal) => {
      this.ended = `ended with ${signal ?? code}`;
    });
    this.child.on("error", () => {});
  }

  send(frame: unknown): void {
    // What cannot be serialised never leaves a client.
    try {
      this.child.send(frame as object, () => {});
    } catch {}
  }

  async handshake(): Promise<string> {
    const id = this.next++;
    const late = performance.now() + 20_000;
    const answered = new Promise<string>((resolve) => {
      const listen = (message: { id?: number; result?: unknown; error?: unknown }) => {
        if (message?.id !== id) return;
        clearInterval(look);
        this.child.off("message", listen);
        resolve(message.result ? "answers" : `refuses its handshake: ${JSON.stringify(message.error)}`);
      };
      const look = setInterval(() => {
        if (this.ended === null && performance.now() < late) return;
        clearInterval(look);
        this.child.off("message", listen);
        resolve(this.ended ?? "is silent");
      }, 20);
      this.child.on("message", listen);
    });
    if (this.ended) return this.ended;
    this.send({ jsonrpc: "2.0", id, method: "handshake", params: { params: {}, progress: id } });
    return await answered;
  }

  end(): void {
    this.child.kill("SIGKILL");
  }
}

function hostile(rng: Random): { kind: string; frame: unknown } {
  const pick = <T>(from: readonly T[]): T => from[integer(rng, from.length)] as T;
  const odd = () => pick([undefined, null, 0, -1, 1.5, Number.NaN, "", "x", [], {}, true, 2 ** 53, "__proto__"]);
  const nest = (depth: number): unknown => (depth === 0 ? 1 : { a: nest(depth - 1), b: [depth] });
  const request = (method: unknown, params: unknown, id: unknown = integer(rng, 50)) => ({ jsonrpc: "2.0", id, method, params });
  switch (integer(rng, 9)) {
    case 0:
      return {
        kind: "no frame",
        frame: pick<unknown>([
          null,
          1,
          "text",
          [],
          {},
          [[]],
          { jsonrpc: "2.0" },
          { jsonrpc: "1.0", id: 1, method: "count" },
          true,
          Buffer.from("x"),
        ]),
      };
    case 1:
      return {
        kind: "odd cancel",
        frame: { jsonrpc: "2.0", method: "$/cancelRequest", params: pick([undefined, null, odd(), { id: odd() }, [odd()]]) },
      };
    case 2:
      return { kind: "odd method", frame: request(pick([...NAMES, ...[odd(), odd()]]), { params: {}, progress: 1 }) };
    case 3:
      return { kind: "odd envelope", frame: request(pick(METHODS), odd()) };
    case 4:
      return {
        kind: "odd params",
        frame: request(pick(METHODS), {
          params: pick([odd(), { path: odd(), prompt: odd(), tokens: odd(), text: odd(), messages: odd() }]),
          progress: odd(),
        }),
      };
    case 5:
      return {
        kind: "odd id",
        frame: request("count", { params: { text: "a" }, progress: 1 }, pick([odd(), "1", [1], { a: 1 }, 2 ** 60])),
      };
    case 6:
      return { kind: "nested", frame: request(pick(METHODS), { params: nest(integer(rng, 800)), progress: 1 }) };
    case 7:
      return {
        kind: "answer nobody waits for",
        frame: pick([
          { jsonrpc: "2.0", id: integer(rng, 99), result: odd() },
          { jsonrpc: "2.0", id: odd(), error: odd() },
        ]),
      };
    default:
      return {
        kind: "long text",
        frame: request(pick(["count", "tokenize", "complete"]), {
          params: { text: "x".repeat(integer(rng, 2_000_000)), prompt: odd() },
          progress: 1,
        }),
      };
  }
}
