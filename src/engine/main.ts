import { IPCMessageReader, IPCMessageWriter } from "vscode-jsonrpc/node";
import type { EngineMethod } from "../protocol/engine.js";
import { requestSchemas } from "../protocol/requests/schemas.js";
import { type Call, type Handlers, serve } from "../protocol/rpc.js";
import { check } from "./check.js";
import { Engine, type Handler } from "./engine.js";
import { bench } from "./handlers/bench.js";
import { chat } from "./handlers/chat.js";
import { complete } from "./handlers/complete.js";
import { count, tokenize, tokenTexts } from "./handlers/count.js";
import { evaluate } from "./handlers/evaluate.js";
import { infill } from "./handlers/infill.js";
import { label } from "./handlers/label.js";
import { load, unload } from "./handlers/load.js";
import { logits } from "./handlers/logits.js";
import { mtBench } from "./handlers/mt-bench.js";
import { headMatrix, sinks } from "./handlers/sinks.js";
import { handshake } from "./handshake.js";
import { Backends } from "./native/backends.js";
import { answerProbe } from "./native/probe.js";
import { effects } from "./search/effects.js";
import { gradient } from "./search/gradient-request.js";
import { calibrate } from "./search/search.js";

/** The engine process: forked by src/client, ends with its parent. Everything it can do, one handler per request. */
const methods = {
  handshake,
  load,
  unload,
  count,
  tokenize,
  tokenTexts,
  complete,
  infill,
  chat,
  logits,
  sinks,
  headMatrix,
  calibrate,
  effects,
  gradient,
  evaluate,
  label,
  mtBench,
  bench,
} satisfies {
  [M in EngineMethod]: Handler<M>;
};

const HEARTBEAT_MS = 500;

if (!process.send) {
  process.stderr.write("This is the engine process of ACT; it is started by the extension or by the act command, not by hand.\n");
  process.exit(2);
}

await answerProbe();

const engine = new Engine(new Backends((level, text) => log(level, text)), log);
const handlers = Object.fromEntries(
  Object.entries(methods).map(([method, handler]) => [
    method,
    async (params: unknown, call: Call<EngineMethod>) => {
      check(requestSchemas[method as EngineMethod], params);
      return await (handler as Handler<EngineMethod>)(engine, params as never, call);
    },
  ]),
) as Handlers;
const server = serve(new IPCMessageReader(process), new IPCMessageWriter(process), handlers);

function log(level: "error" | "warn" | "info" | "debug", text: string): void {
  server.notify("log", { level, text });
}

setInterval(() => {
  // "disconnect" is not emitted when the parent dies before its first message.
  if (!process.connected) die();
  const { busy, queued } = engine.queue;
  server.notify("heartbeat", { busy, queued, tokensPerSecond: engine.tokensPerSecond });
}, HEARTBEAT_MS);

process.on("disconnect", die);
// Ctrl-C in a terminal reaches the whole group; the parent decides when the engine ends.
process.on("SIGINT", () => {});

/** Native threads may be in the middle of a graph: an orderly exit would wait for them or trip over them. */
function die(): void {
  process.kill(process.pid, "SIGKILL");
}
