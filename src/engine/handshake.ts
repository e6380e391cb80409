import { PROTOCOL_VERSION } from "../protocol/engine.js";
import type { Handler } from "./engine.js";

/** Replaced by the bundler with the version in package.json; undefined when run from sources. */
declare const ACT_VERSION: string | undefined;

export const handshake: Handler<"handshake"> = async (engine, params) => {
  const backends = await engine.backends.list(params.probe ?? false);
  const cpu = await engine.backends.get("cpu");
  return {
    version: typeof ACT_VERSION === "string" ? ACT_VERSION : "development",
    protocol: PROTOCOL_VERSION,
    llamaCpp: cpu.llamaCpp,
    patchSet: cpu.patchSet,
    node: process.version,
    pid: process.pid,
    backends,
  };
};
