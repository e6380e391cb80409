import { existsSync } from "node:fs";
import { freemem, totalmem } from "node:os";
import type { BackendName } from "../../protocol/engine.js";
import { toActError } from "../../protocol/errors.js";
import { cacheFolder } from "../../store/cache-folder.js";
import type { Command } from "../command.js";

/** What is installed, what works, and what to do about the rest. */
export const doctor: Command = {
  does: "engine, backends, patch set, model cache, memory",
  usage: "[--json]",
  flags: {},
  async run(session) {
    const info = await session.request("handshake", { probe: true });
    let model: { path: string; name: string; sha256: string; backend: BackendName; backendReason: string } | null = null;
    let problem: string | null = null;
    let splits: [number, number] | null = null;
    let calibration: { layers: number[]; refused: string | null } = { layers: [], refused: null };
    const { version, llamaCpp, patchSet, backends, node } = info;
    try {
      const { path, name, sha256, backend, backendReason, layers, act } = await session.load({ sequences: 0 });
      calibration = act.supported
        ? { layers: Array.from({ length: layers }, (_, layer) => layer), refused: null }
        : { layers: [], refused: act.reason };
      model = { path, name, sha256, backend, backendReason };
      if (patchSet !== null && act.supported) splits = (await session.request("bench", { phases: ["splits"] })).rows[0]?.interval ?? null;
    } catch (error) {
      problem = toActError(error).message;
      calibration.refused = problem;
    }
    const cache = { path: cacheFolder(), exists: existsSync(cacheFolder()) };
    const memory = { total: totalmem(), free: freemem() };
    const mib = (bytes: number) => `${Math.round(bytes / 2 ** 20)} MiB`;
    const lines = [
      `act         ${version} (Node ${node})`,
      `llama.cpp   ${llamaCpp}`,
      patchSet === null
        ? 'patch set   none: a stock binary is loaded; everything but calibration and sinks works. Run "npm start" in the repository to build ours.'
        : `patch set   ${patchSet}`,
      ...backends.map(
        ({ name, act, device, reason }) =>
          `backend     ${name}: ${act ? "with calibration" : "without calibration"}${device ? `, ${device}` : ""}${reason ? ` (${reason})` : ""}`,
      ),
      model
        ? `model       ${model.name}\n            ${model.path}\n            sha256 ${model.sha256}\n            ${model.backendReason}`
        : `model       none: ${problem}`,
      ...(model
        ? [
            calibration.refused === null
              ? `calibrates  the heads of ${calibration.layers.length} layers`
              : `calibrates  nothing: ${calibration.refused}`,
          ]
        : []),
      ...(splits
        ? [`graph       ${splits[0]} parts without calibration, ${splits[1]} with all heads (more parts are copies between devices)`]
        : []),
      `cache       ${cache.path}${cache.exists ? "" : " (not there yet)"}`,
      `memory      ${mib(memory.free)} free of ${mib(memory.total)}`,
    ];
    return {
      json: {
        version,
        llamaCpp,
        patchSet,
        backends,
        node,
        model,
        calibration,
        splits,
        ...(problem !== null && { modelProblem: problem }),
        cache,
        memory,
      },
      text: lines.join("\n"),
    };
  },
};
