import { PROTOCOL_VERSION } from "../protocol/engine.js";
import { version } from "../protocol/version.js";
import type { Handler } from "./engine.js";

export const handshake: Handler<"handshake"> = async (engine, params) => {
  const [backends, cpu] = await Promise.all([engine.backends.list(params.probe ?? false), engine.backends.cpu()]);
  return {
    version,
    protocol: PROTOCOL_VERSION,
    llamaCpp: cpu.llamaCpp,
    patchSet: cpu.patchSet,
    node: process.version,
    pid: process.pid,
    backends,
  };
};
