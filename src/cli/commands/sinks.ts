import path from "node:path";
import { fileURLToPath } from "node:url";
import { toCsv, toHtml, toJson, toPng, toSvg } from "../../core/sinks/sink-map.js";
import { DEFAULT_THRESHOLD, type Threshold } from "../../protocol/calibration.js";
import type { SinkMap } from "../../protocol/engine.js";
import { ActError } from "../../protocol/errors.js";
import { writeFileAtomic } from "../../store/atomic.js";
import { text, threshold } from "../arguments.js";
import type { Command } from "../command.js";
import { readPageParts } from "../page-parts.js";
import { promptFlags, promptOf } from "../prompt.js";

type Figure = { threshold: Threshold; title: string; subtitle: string };
const writers: Record<string, (map: SinkMap, figure: Figure) => string | Uint8Array | Promise<string>> = {
  ".png": (map) => toPng(map),
  ".svg": (map, figure) => toSvg(map, figure),
  ".csv": (map) => toCsv(map),
  ".json": (map) => toJson(map),
  ".html": async (map, figure) => toHtml(map, await readPageParts(path.dirname(fileURLToPath(import.meta.url))), figure),
};

const BUSIEST = 8;

export const sinks: Command = {
  does: "where the heads of a prompt look: column means and sinks",
  usage: "--prompt TEXT | --prompt-file F | --tokens FILE.json [--out map.png|svg|csv|json|html] [--heads SET]",
  flags: { ...promptFlags, out: { value: "FILE", does: "write the map there: .png, .svg, .csv, .json or .html" } },
  help: "Means are over the rows that see a key, before calibration. With --heads, the next tokens are shown with and without.",
  async run(session, flags) {
    const prompt = await promptOf(flags);
    const out = text(flags, "out");
    const write = out === undefined ? undefined : writers[path.extname(out).toLowerCase()];
    if (out !== undefined && !write) throw new ActError("usage", `--out must end in ${Object.keys(writers).join(", ")}, not "${out}".`);
    const model = await session.load({ sequences: 0 });
    const calibration = await session.calibration(model);
    const limit = threshold(flags) ?? calibration?.threshold ?? DEFAULT_THRESHOLD;
    const map = await session.request("sinks", { ...prompt, calibration, threshold: limit });
    if (out !== undefined && write) {
      const subtitle = `${model.name}, ${map.tokens.length} tokens, threshold ${limit.mode} ${limit.value}${calibration ? `, ${calibration.heads.length} heads calibrated at beta ${calibration.beta}` : ""}`;
      await writeFileAtomic(out, await write(map, { threshold: limit, title: "Attention sinks", subtitle }));
      session.note(`Wrote ${out}.`);
    }
    return { json: session.json ? toJson(map) : {}, text: summary(map) };
  },
};

function summary({ tokens, layers, heads, sinks: found, next }: SinkMap): string {
  const total = new Map<number, number>();
  for (const { positions } of found) for (const position of positions) total.set(position, (total.get(position) ?? 0) + 1);
  const busiest = [...total].sort(([, a], [, b]) => b - a).slice(0, BUSIEST);
  const live = found.filter(({ positions }) => positions.length > 0).length;
  const likely = (list: SinkMap["next"]["off"]) =>
    list
      .slice(0, 5)
      .map(({ text: token, probability }) => `${JSON.stringify(token)} ${(probability * 100).toFixed(1)} %`)
      .join("  ");
  return [
    `${tokens.length} tokens, ${layers} layers of ${heads} heads; ${live} of ${found.length} heads have a second sink.`,
    ...busiest.map(([position, count]) => `  token ${position} ${JSON.stringify(tokens[position])} is a sink of ${count} heads`),
    `next without calibration  ${likely(next.off)}`,
    ...(next.on ? [`next with calibration     ${likely(next.on)}`] : []),
  ].join("\n");
}
